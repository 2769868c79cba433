"""Which function converts which ATen op."""

from collections.abc import Callable

from ptee_mcu.frontends import pytorch_elementwise as elementwise
from ptee_mcu.frontends import pytorch_layers as layers
from ptee_mcu.frontends import pytorch_layout as layout
from ptee_mcu.frontends.pytorch_trace import Call, Value
from ptee_mcu.tensor import Float

Converter = Callable[[Call], Value | Float | None]

SUPPORTED = (
    "conv2d, linear, conv_transpose2d, batch_norm, relu, relu6, hardtanh, clamp, max_pool2d, avg_pool2d, "
    "adaptive_avg_pool2d, upsample_nearest2d, all these of one dimension, "
    "mean over H and W, add, mul, div by a constant, sigmoid, hardsigmoid, hardswish, silu, leaky_relu, prelu, tanh, "
    "cat on channels, flatten, zero pad, slices of H, W and C, dropout and a final softmax"
)

CONVERTERS: dict[str, Converter] = {
    "aten._assert_tensor_metadata.default": layout.nothing,
    "aten._log_softmax.default": layers.softmax,
    "aten._softmax.default": layers.softmax,
    "aten._to_copy.default": layout.same_values,
    "aten._unsafe_view.default": layout.reshape,
    "aten._upsample_nearest_exact1d.vec": layout.upsample_nearest,
    "aten._upsample_nearest_exact2d.vec": layout.upsample_nearest,
    "aten.adaptive_avg_pool1d.default": layers.adaptive_avg_pool2d,
    "aten.adaptive_avg_pool2d.default": layers.adaptive_avg_pool2d,
    "aten._prelu_kernel.default": elementwise.prelu,
    "aten.add.Tensor": layers.add,
    "aten.addmm.default": layers.addmm,
    "aten.alias.default": layout.same_values,
    "aten.alpha_dropout.default": layout.same_values,
    "aten.avg_pool1d.default": layers.avg_pool2d,
    "aten.avg_pool2d.default": layers.avg_pool2d,
    "aten.batch_norm.default": layers.batch_norm,
    "aten.cat.default": layout.cat,
    "aten.clamp.default": layers.clamp_both,
    "aten.clamp_max.default": layers.clamp_max,
    "aten.clamp_min.default": layers.clamp_min,
    "aten.clone.default": layout.same_values,
    "aten.constant_pad_nd.default": layout.pad,
    "aten.contiguous.default": layout.same_values,
    "aten.conv1d.default": layers.conv2d,
    "aten.conv1d.padding": layers.conv2d,
    "aten.conv2d.default": layers.conv2d,
    "aten.conv2d.padding": layers.conv2d,
    "aten.conv_transpose1d.default": layers.conv_transpose2d,
    "aten.conv_transpose2d.input": layers.conv_transpose2d,
    "aten.detach.default": layout.same_values,
    "aten.div.Scalar": elementwise.div,
    "aten.div.Tensor": elementwise.div,
    "aten.dropout.default": layers.dropout,
    "aten.expand.default": elementwise.expand,
    "aten.expand_as.default": elementwise.expand,
    "aten.feature_dropout.default": layout.same_values,
    "aten.flatten.using_ints": layout.reshape,
    "aten.hardsigmoid.default": elementwise.hard_sigmoid,
    "aten.hardswish.default": elementwise.hard_swish,
    "aten.hardtanh.default": layers.hardtanh,
    "aten.leaky_relu.default": elementwise.leaky_relu,
    "aten.lift_fresh_copy.default": layout.same_values,
    "aten.linear.default": layers.linear,
    "aten.log_softmax.int": layers.softmax,
    "aten.matmul.default": layers.mm,
    "aten.max_pool1d.default": layers.max_pool2d,
    "aten.max_pool2d.default": layers.max_pool2d,
    "aten.mean.dim": layers.mean,
    "aten.mm.default": layers.mm,
    "aten.mul.Scalar": elementwise.mul,
    "aten.mul.Tensor": elementwise.mul,
    "aten.numpy_T.default": layout.transpose,
    "aten.pad.default": layout.pad,
    "aten.permute.default": layout.transpose,
    "aten.prelu.default": elementwise.prelu,
    "aten.relu.default": layers.relu,
    "aten.relu6.default": layers.relu6,
    "aten.reshape.default": layout.reshape,
    "aten.sigmoid.default": elementwise.sigmoid,
    "aten.silu.default": elementwise.silu,
    "aten.slice.Tensor": layout.strided_slice,
    "aten.softmax.int": layers.softmax,
    "aten.squeeze.default": layout.reshape,
    "aten.squeeze.dim": layout.reshape,
    "aten.squeeze.dims": layout.reshape,
    "aten.t.default": layout.transpose,
    "aten.tanh.default": elementwise.tanh,
    "aten.to.dtype": layout.same_values,
    "aten.to.dtype_layout": layout.same_values,
    "aten.transpose.int": layout.transpose,
    "aten.unflatten.int": layout.reshape,
    "aten.unsqueeze.default": layout.reshape,
    "aten.upsample_nearest1d.vec": layout.upsample_nearest,
    "aten.upsample_nearest2d.vec": layout.upsample_nearest,
    "aten.view.default": layout.reshape,
}
