"""TFLite files: read without TensorFlow, as exact int8 networks or as float graphs."""
