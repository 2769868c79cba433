"""Int8 fully connected layer."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QFullyConnected
from ptee_mcu.sim.fixedpoint import Rescale
from ptee_mcu.sim.matmul import exact_matmul, exact_terms
from ptee_mcu.tensor import Int8, QTensor


def run(op: QFullyConnected, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, out): an NHWC input is read as its flattened bytes.

    Source: arm_fully_connected_s8 and arm_nn_vec_mat_mult_t_s8, CMSIS-NN 4.0.0.
    """
    (x,) = inputs
    bias = op.bias + op.input_offset * op.weights.sum(axis=1, dtype=np.int64)
    rescale = Rescale.of(op.requant, bias, op.output_offset, op.act_min, op.act_max)
    columns = x.reshape(len(x), op.weights.shape[1]).astype(np.float32)
    codes = np.empty((len(x), output.shape[1]), dtype=np.int8)
    rescale.codes(exact_matmul(columns, op.weights.T.astype(np.float32), exact_terms(op.weights)), codes)
    return codes
