"""Which function converts which ONNX operator."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ptee_mcu.frontends.onnx import arithmetic, layers, pointwise, pools, quantized, shapes
from ptee_mcu.frontends.onnx.trace import Call, Known

Converter = Callable[[Call], Known | tuple[Known, ...]]

CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "Add": arithmetic.add,
        "AveragePool": pools.average_pool,
        "BatchNormalization": layers.batch_norm,
        "Cast": shapes.cast,
        "Clip": pointwise.clip,
        "Concat": shapes.concat,
        "Conv": layers.conv,
        "ConvTranspose": layers.conv_transpose,
        "DequantizeLinear": quantized.dequantize_linear,
        "Div": arithmetic.div,
        "Dropout": pointwise.dropout,
        "Flatten": shapes.flatten,
        "Gemm": layers.gemm,
        "GlobalAveragePool": pools.global_average,
        "GlobalMaxPool": pools.global_max,
        "HardSigmoid": pointwise.hard_sigmoid,
        "HardSwish": pointwise.hard_swish,
        "Identity": shapes.identity,
        "LeakyRelu": pointwise.leaky_relu,
        "MatMul": layers.matmul,
        "Max": pointwise.limit,
        "MaxPool": pools.max_pool,
        "Min": pointwise.limit,
        "Mul": arithmetic.mul,
        "Neg": arithmetic.neg,
        "PRelu": pointwise.prelu,
        "Pad": shapes.pad,
        "QuantizeLinear": quantized.quantize_linear,
        "ReduceMax": pools.reduce_max,
        "ReduceMean": pools.reduce_mean,
        "Relu": pointwise.relu,
        "Reshape": shapes.reshape,
        "Resize": pools.resize,
        "Shape": shapes.shape_of,
        "Sigmoid": pointwise.sigmoid,
        "Size": shapes.size_of,
        "Slice": shapes.strided_slice,
        "Split": shapes.split,
        "Squeeze": shapes.squeeze,
        "Sub": arithmetic.sub,
        "Tanh": pointwise.tanh,
        "Transpose": shapes.transpose,
        "Unsqueeze": shapes.unsqueeze,
    }
)

SUPPORTED = f"{', '.join(CONVERTERS)}, Constant, and a final Softmax or LogSoftmax"

# Operators that people meet, and what to do instead.
HINTS: Mapping[str, str] = MappingProxyType(
    {
        "ArgMax": "end the network at its logits; the generated code picks the largest",
        "Elu": "replace it by ReLU or LeakyReLU and train again",
        "Erf": "replace GELU by ReLU or HardSwish and train again",
        "Gelu": "replace it by ReLU or HardSwish and train again",
        "GRU": "recurrent layers are not supported; use a convolutional network",
        "If": "control flow must not depend on the data; export with fixed shapes",
        "InstanceNormalization": "replace it by BatchNorm and train again",
        "LayerNormalization": "replace it by BatchNorm and train again",
        "LSTM": "recurrent layers are not supported; use a convolutional network",
        "Loop": "control flow must not depend on the data; export with fixed shapes",
        "QLinearConv": "export the model in QDQ form (QuantizeLinear and DequantizeLinear around float operators)",
        "QLinearMatMul": "export the model in QDQ form (QuantizeLinear and DequantizeLinear around float operators)",
        "DynamicQuantizeLinear": "quantize statically, with calibration data",
        "Softmax": "end the network at its logits; attention is not supported",
    }
)
