/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution through arm_convolve_s8: chosen at compile time, so that arm_convolve_wrapper_s8 links no other kernel. */
#include "ptee_conv2d.h"

ptee_status ptee_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    ptee_conv2d_arguments a;
    ptee_conv2d_expand(op, scratch, &a);
    return ptee_from_cmsis_nn(arm_convolve_s8(&a.context, &a.params, &a.requant, &a.input, input, &a.filter,
                                              op->weights, &a.bias, op->bias, &a.output, output));
}

int32_t ptee_conv2d_scratch_bytes(const ptee_conv2d_t *op)
{
    const cmsis_nn_dims input = {.n = 1, .h = op->input_h, .w = op->input_w, .c = op->input_c};
    const cmsis_nn_dims filter = {.n = op->output_c, .h = op->kernel_h, .w = op->kernel_w, .c = op->input_c};
    return arm_convolve_s8_get_buffer_size(&input, &filter);
}
