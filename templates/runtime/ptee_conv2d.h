/* SPDX-License-Identifier: Apache-2.0 */
/* What the convolutions share: the arguments CMSIS-NN wants. */
#ifndef PTEE_CONV2D_H
#define PTEE_CONV2D_H

#include "ptee_cmsis_nn.h"

typedef struct {
    cmsis_nn_context context;
    cmsis_nn_conv_params params;
    cmsis_nn_per_channel_quant_params requant;
    cmsis_nn_dims input, filter, bias, output;
} ptee_conv2d_arguments;

static inline void ptee_conv2d_expand(const ptee_conv2d_t *op, void *scratch, ptee_conv2d_arguments *to)
{
    to->context = ptee_context(scratch, op->scratch_bytes);
    to->requant = ptee_per_channel(op->multiplier, op->shift);
    to->params.input_offset = op->input_offset;
    to->params.output_offset = op->output_offset;
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
    to->filter.n = op->output_c;
    to->filter.h = op->kernel_h;
    to->filter.w = op->kernel_w;
    to->filter.c = op->input_c;
    to->bias.n = 1;
    to->bias.h = 1;
    to->bias.w = 1;
    to->bias.c = op->output_c;
    to->output.n = 1;
    to->output.h = op->output_h;
    to->output.w = op->output_w;
    to->output.c = op->output_c;
}

#endif /* PTEE_CONV2D_H */
