/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution through arm_convolve_s8: chosen at compile time, so that arm_convolve_wrapper_s8 links no other kernel. */
#include "ptee_conv2d.h"

/* Up to CMSIS-NN 6.0 the function has 11 parameters, since 7.0 one more, which only transposed convolutions need. */
typedef arm_cmsis_nn_status convolve_11(const cmsis_nn_context *, const cmsis_nn_conv_params *,
                                        const cmsis_nn_per_channel_quant_params *, const cmsis_nn_dims *,
                                        const int8_t *, const cmsis_nn_dims *, const int8_t *, const cmsis_nn_dims *,
                                        const int32_t *, const cmsis_nn_dims *, int8_t *);
typedef arm_cmsis_nn_status convolve_12(const cmsis_nn_context *, const cmsis_nn_conv_params *,
                                        const cmsis_nn_per_channel_quant_params *, const cmsis_nn_dims *,
                                        const int8_t *, const cmsis_nn_dims *, const int8_t *, const cmsis_nn_dims *,
                                        const int32_t *, const cmsis_nn_dims *, const cmsis_nn_dims *, int8_t *);

static inline arm_cmsis_nn_status call_11(convolve_11 *convolve, const ptee_conv2d_arguments *a,
                                          const ptee_conv2d_t *op, const int8_t *input, int8_t *output)
{
    return convolve(&a->context, &a->params, &a->requant, &a->input, input, &a->filter, op->weights, &a->bias, op->bias,
                    &a->output, output);
}

static inline arm_cmsis_nn_status call_12(convolve_12 *convolve, const ptee_conv2d_arguments *a,
                                          const ptee_conv2d_t *op, const int8_t *input, int8_t *output)
{
    return convolve(&a->context, &a->params, &a->requant, &a->input, input, &a->filter, op->weights, &a->bias, op->bias,
                    NULL, &a->output, output);
}

ptee_status ptee_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    ptee_conv2d_arguments a;
    ptee_conv2d_expand(op, scratch, &a);
    return ptee_from_cmsis_nn(_Generic(&arm_convolve_s8, convolve_11 *: call_11, convolve_12 *: call_12)(
        &arm_convolve_s8, &a, op, input, output));
}

int32_t ptee_conv2d_scratch_bytes(const ptee_conv2d_t *op)
{
    const cmsis_nn_dims input = {.n = 1, .h = op->input_h, .w = op->input_w, .c = op->input_c};
    const cmsis_nn_dims filter = {.n = op->output_c, .h = op->kernel_h, .w = op->kernel_w, .c = op->input_c};
    return arm_convolve_s8_get_buffer_size(&input, &filter);
}
