"""Run as a script, by a Python with TensorFlow: writes a small float TFLite file for each way to use an operator.

Usage: tflite_networks.py FOLDER. Batches are left open, as the Keras converter leaves them.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

IMAGE = (9, 7, 4)


def _image(*steps: Callable[[Any], Any], shape: tuple[int, ...] = IMAGE) -> keras.Model:
    x = start = keras.Input(shape)
    for step in steps:
        x = step(x)
    return keras.Model(start, x)


def _residual(x: Any) -> Any:
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    return layers.Concatenate()([layers.ReLU()(layers.Add()([x, y])), y])


def _squeeze_excite(x: Any) -> Any:
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="relu")(gate)
    return layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(gate)])


def _vector_gate(x: Any) -> Any:
    gate = layers.Dense(4, activation="hard_sigmoid")(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([layers.Reshape((1, 1, 4))(gate), x])


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "conv same, stride 2": lambda: _image(layers.Conv2D(5, 3, 2, "same", activation="relu6")),
    "conv same, even kernel": lambda: _image(layers.Conv2D(5, (4, 2), padding="same")),
    "conv valid, dilated": lambda: _image(layers.Conv2D(5, (3, 2), dilation_rate=(2, 3), use_bias=False)),
    "conv same, dilated": lambda: _image(layers.Conv2D(5, 3, dilation_rate=2, padding="same")),
    "conv, groups": lambda: _image(layers.Conv2D(6, 3, groups=2)),
    "depthwise, multiplier 2": lambda: _image(layers.DepthwiseConv2D(3, 2, "same", 2)),
    "depthwise, one channel": lambda: _image(layers.DepthwiseConv2D(3, depth_multiplier=3), shape=(6, 5, 1)),
    "padded conv": lambda: _image(layers.ZeroPadding2D(((0, 1), (0, 1))), layers.Conv2D(3, 3, 2)),
    "padded pool": lambda: _image(layers.ZeroPadding2D(((2, 1), (0, 1))), layers.AveragePooling2D(3, 2)),
    "convs of a sequence": lambda: _image(
        layers.Conv1D(6, 3, padding="same", activation="relu"), layers.MaxPool1D(2), layers.Conv1D(5, 2, 2),
        layers.GlobalAveragePooling1D(), layers.Dense(3), shape=(20, 3),
    ),
    "dense on every pixel": lambda: _image(layers.Dense(5, activation="relu"), layers.Dense(2)),
    "dense on every step": lambda: _image(layers.Dense(5), layers.Flatten(), layers.Dense(2), shape=(6, 3)),
    "transposed conv same": lambda: _image(layers.Conv2DTranspose(3, 3, 2, "same", activation="relu")),
    "transposed conv valid": lambda: _image(layers.Conv2DTranspose(3, (4, 3), (3, 2), "valid")),
    "transposed conv, small kernel": lambda: _image(layers.Conv2DTranspose(3, 1, 2, "same")),
    "nearest": lambda: _image(layers.UpSampling2D((2, 3))),
    "pools same": lambda: _image(layers.AveragePooling2D(3, 2, "same"), layers.MaxPooling2D(3, 2, "same")),
    "global max": lambda: _image(layers.GlobalMaxPooling2D(), layers.Dense(3)),
    "mean of rows": lambda: _image(lambda x: keras.ops.mean(x, 1), layers.Dense(3)),
    "residual, concatenation": lambda: _image(_residual),
    "squeeze and excitation": lambda: _image(_squeeze_excite),
    "gate that comes first": lambda: _image(_vector_gate),
    "scaled input": lambda: _image(layers.Rescaling(1 / 127.5, -1), layers.Conv2D(3, 3)),
    "scaled vector": lambda: _image(layers.Rescaling(2.0, 1.5), layers.Dense(3), shape=(5,)),
    "constants": lambda: _image(lambda x: (3 - layers.ReLU()(x)) / 4, layers.BatchNormalization(center=False)),
    "batch norm after an activation": lambda: _image(
        layers.ReLU(), layers.BatchNormalization(beta_initializer="ones"), layers.ReLU()
    ),
    "activations": lambda: _image(
        layers.LeakyReLU(), layers.Activation("hard_swish"), layers.Activation("silu"), layers.Activation("tanh")
    ),
    "gates": lambda: _image(
        layers.Activation("hard_sigmoid"), layers.Activation("sigmoid"), layers.ReLU(max_value=1.0)
    ),
    "prelu": lambda: _image(
        layers.PReLU("random_uniform", shared_axes=[1, 2]), layers.PReLU("ones", shared_axes=[1, 2, 3])
    ),
    "subtraction": lambda: _image(lambda x: layers.Subtract()([layers.Conv2D(4, 1)(x), x])),
    "flatten, softmax": lambda: _image(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")),
    "flat input": lambda: _image(layers.Reshape((4, 5, 2)), layers.Conv2D(3, 3), layers.Flatten(), shape=(40,)),
    "reshaped between": lambda: _image(layers.Conv2D(4, 3), layers.Reshape((7, 10, 2)), layers.Conv2D(2, 3)),
}  # fmt: skip


def main(folder: Path) -> None:
    """Writes NAME.tflite for all networks, and three of one network: float32, float16, dynamic-range."""
    keras.utils.set_random_seed(1)
    for name, make in NETWORKS.items():
        _write(make(), folder / f"{name}.tflite")
    model = _image(layers.Conv2D(8, 3), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(40), layers.Dense(30))
    _write(model, folder / "kinds.float32.tflite")
    _write(model, folder / "kinds.float16.tflite", [tf.float16])
    _write(model, folder / "kinds.dynamic.tflite", [])


def _write(model: keras.Model, path: Path, types: list[tf.DType] | None = None) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if types is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = types
    path.write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
