/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fully connected layer with a multiplier per output, as a 1x1 convolution of one pixel: only since 6.0 does CMSIS-NN
 * have a kernel of its own for it. The input's offset is in the bias, as in ptee_fully_connected.
 */
#include "ptee_cmsis_nn.h"

ptee_status ptee_per_channel_fully_connected(const ptee_per_channel_fully_connected_t *op, const int8_t *input,
                                             int8_t *output)
{
    const cmsis_nn_conv_params params = {
        .input_offset = 0,
        .output_offset = op->output_offset,
        .stride = {.w = 1, .h = 1},
        .padding = {.w = 0, .h = 0},
        .dilation = {.w = 1, .h = 1},
        .activation = {.min = op->act_min, .max = op->act_max},
    };
    const cmsis_nn_per_channel_quant_params requant = ptee_per_channel(op->multiplier, op->shift);
    const cmsis_nn_context context = ptee_context(NULL, 0);
    const cmsis_nn_dims input_dims = {.n = 1, .h = 1, .w = 1, .c = (int32_t)op->input_features};
    const cmsis_nn_dims filter = {.n = op->output_features, .h = 1, .w = 1, .c = (int32_t)op->input_features};
    const cmsis_nn_dims bias = {.n = 1, .h = 1, .w = 1, .c = op->output_features};
    return ptee_from_cmsis_nn(arm_convolve_1x1_s8_fast(&context, &params, &requant, &input_dims, input, &filter,
                                                       op->weights, &bias, op->bias, &bias, output));
}
