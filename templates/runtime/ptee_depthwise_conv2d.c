/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution through arm_depthwise_conv_wrapper_s8 and arm_depthwise_conv_s8. */
#include "ptee_cmsis_nn.h"

typedef struct {
    cmsis_nn_dw_conv_params params;
    cmsis_nn_dims input, filter, output;
} depthwise_arguments;

static void expand(const ptee_depthwise_conv2d_t *op, depthwise_arguments *to)
{
    to->params.input_offset = op->input_offset;
    to->params.output_offset = op->output_offset;
    to->params.ch_mult = op->channel_multiplier;
    to->params.stride.w = op->stride_w;
    to->params.stride.h = op->stride_h;
    to->params.padding.w = op->padding_w;
    to->params.padding.h = op->padding_h;
    to->params.dilation.w = op->dilation_w;
    to->params.dilation.h = op->dilation_h;
    to->params.activation.min = op->act_min;
    to->params.activation.max = op->act_max;
    to->input.n = 1;
    to->input.h = op->input_h;
    to->input.w = op->input_w;
    to->input.c = op->input_c;
    to->filter.n = 1;
    to->filter.h = op->kernel_h;
    to->filter.w = op->kernel_w;
    to->filter.c = op->output_c;
    to->output.n = 1;
    to->output.h = op->output_h;
    to->output.w = op->output_w;
    to->output.c = op->output_c;
}

/*
 * Where the wrapper must not choose.
 *
 * From one channel: on MVE since CMSIS-NN 7.0 it turns weights round in scratch and calls a full convolution, whose
 * kernel for 1x1 goes through the input more than once; planned is that an output may lie over it.
 *
 * arm_depthwise_conv_3x3_s8, which the wrapper chooses for 3x3 kernels, always reads a window's middle column. Where the
 * last window has only its first column inside the image (two columns of padding at the right) it would read beyond the
 * row: the general function knows better.
 */
static bool general(const depthwise_arguments *a)
{
    const int32_t last = (a->output.w - 1) * a->params.stride.w - a->params.padding.w;
    const bool middle_column_outside = a->filter.w == 3 && a->filter.h == 3 && last + 1 >= a->input.w;
    return middle_column_outside || (a->input.c == 1 && a->output.c > 1);
}

ptee_status ptee_depthwise_conv2d(const ptee_depthwise_conv2d_t *op, const int8_t *input, int8_t *output,
                                  void *scratch)
{
    depthwise_arguments a;
    expand(op, &a);
    const cmsis_nn_per_channel_quant_params requant = ptee_per_channel(op->multiplier, op->shift);
    const cmsis_nn_context context = ptee_context(scratch, op->scratch_bytes);
    const cmsis_nn_dims bias = {.n = 1, .h = 1, .w = 1, .c = op->output_c};
    if (general(&a)) {
        return ptee_from_cmsis_nn(arm_depthwise_conv_s8(&context, &a.params, &requant, &a.input, input, &a.filter,
                                                        op->weights, &bias, op->bias, &a.output, output));
    }
    return ptee_from_cmsis_nn(arm_depthwise_conv_wrapper_s8(&context, &a.params, &requant, &a.input, input, &a.filter,
                                                            op->weights, &bias, op->bias, &a.output, output));
}

int32_t ptee_depthwise_conv2d_scratch_bytes(const ptee_depthwise_conv2d_t *op)
{
    depthwise_arguments a;
    expand(op, &a);
    if (general(&a)) {
        return 0;
    }
    return arm_depthwise_conv_wrapper_s8_get_buffer_size(&a.params, &a.input, &a.filter, &a.output);
}
