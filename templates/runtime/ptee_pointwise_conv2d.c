/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of 1x1 with stride 1 and no padding through arm_convolve_1x1_s8_fast. */
#include "ptee_conv2d.h"

ptee_status ptee_pointwise_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    ptee_conv2d_arguments a;
    ptee_conv2d_expand(op, scratch, &a);
    return ptee_from_cmsis_nn(arm_convolve_1x1_s8_fast(&a.context, &a.params, &a.requant, &a.input, input, &a.filter,
                                                       op->weights, &a.bias, op->bias, &a.output, output));
}

int32_t ptee_pointwise_conv2d_scratch_bytes(const ptee_conv2d_t *op)
{
    const cmsis_nn_dims input = {.n = 1, .h = op->input_h, .w = op->input_w, .c = op->input_c};
    return arm_convolve_1x1_s8_fast_get_buffer_size(&input);
}
