/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fully connected layer through arm_fully_connected_s8, the same call for every release of CMSIS-NN.
 *
 * On MVE the releases differ in what ctx->buf is: nothing up to 4.1, sums of the rows of weights that are multiplied by
 * the input's offset in 5.0 and 6.0, bias and offset already summed since 7.0, which then reads neither. With the offset
 * in the bias, an offset of 0 and the bias at both places each of them computes the same sum.
 */
#include "ptee_cmsis_nn.h"

ptee_status ptee_fully_connected(const ptee_fully_connected_t *op, const int8_t *input, int8_t *output)
{
    const cmsis_nn_fc_params params = {
        .input_offset = 0,
        .filter_offset = 0,
        .output_offset = op->output_offset,
        .activation = {.min = op->act_min, .max = op->act_max},
    };
    const cmsis_nn_per_tensor_quant_params requant = {.multiplier = op->multiplier, .shift = op->shift};
    const cmsis_nn_context context = {
        .buf = ptee_writable(op->bias),
        .size = (int32_t)(op->output_features * sizeof op->bias[0]),
    };
    const cmsis_nn_dims input_dims = {.n = 1, .h = 1, .w = 1, .c = (int32_t)op->input_features};
    const cmsis_nn_dims filter = {.n = (int32_t)op->input_features, .h = 1, .w = 1, .c = op->output_features};
    const cmsis_nn_dims output_dims = {.n = 1, .h = 1, .w = 1, .c = op->output_features};
    return ptee_from_cmsis_nn(arm_fully_connected_s8(&context, &params, &requant, &input_dims, input, &filter,
                                                     op->weights, &output_dims, op->bias, &output_dims, output));
}
