/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer through arm_fully_connected_s8, whose signature is the same from CMSIS-NN 4.0.0 on. */
#include "ptee_cmsis_nn.h"

static cmsis_nn_dims filter_dims(const ptee_fully_connected_t *op)
{
    const cmsis_nn_dims dims = {.n = (int32_t)op->input_features, .h = 1, .w = 1, .c = op->output_features};
    return dims;
}

ptee_status ptee_fully_connected(const ptee_fully_connected_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    const cmsis_nn_fc_params params = {
        .input_offset = op->input_offset,
        .filter_offset = 0,
        .output_offset = op->output_offset,
        .activation = {.min = op->act_min, .max = op->act_max},
    };
    const cmsis_nn_per_tensor_quant_params requant = {.multiplier = op->multiplier, .shift = op->shift};
    const cmsis_nn_context context = ptee_context(scratch, op->scratch_bytes);
    const cmsis_nn_dims input_dims = {.n = 1, .h = 1, .w = 1, .c = (int32_t)op->input_features};
    const cmsis_nn_dims filter = filter_dims(op);
    const cmsis_nn_dims output_dims = {.n = 1, .h = 1, .w = 1, .c = op->output_features};
    return ptee_from_cmsis_nn(arm_fully_connected_s8(&context, &params, &requant, &input_dims, input, &filter,
                                                     op->weights, &output_dims, op->bias, &output_dims, output));
}

int32_t ptee_fully_connected_scratch_bytes(const ptee_fully_connected_t *op)
{
    const cmsis_nn_dims filter = filter_dims(op);
    return arm_fully_connected_s8_get_buffer_size(&filter);
}
