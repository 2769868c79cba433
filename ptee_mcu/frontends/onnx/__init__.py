"""ONNX files: float models, and quantized ones whose integers are kept."""
