/* SPDX-License-Identifier: Apache-2.0 */
/* What maximum and average pooling share: the arguments CMSIS-NN wants. */
#ifndef PTEE_POOL2D_H
#define PTEE_POOL2D_H

#include "ptee_cmsis_nn.h"

typedef struct {
    cmsis_nn_context context;
    cmsis_nn_pool_params params;
    cmsis_nn_dims input, filter, output;
} ptee_pool2d_arguments;

static inline void ptee_pool2d_expand(const ptee_pool2d_t *op, void *scratch, ptee_pool2d_arguments *to)
{
    to->context = ptee_context(scratch, op->scratch_bytes);
    to->params.stride.w = op->stride_w;
    to->params.stride.h = op->stride_h;
    to->params.padding.w = op->padding_w;
    to->params.padding.h = op->padding_h;
    to->params.activation.min = op->act_min;
    to->params.activation.max = op->act_max;
    to->input.n = 1;
    to->input.h = op->input_h;
    to->input.w = op->input_w;
    to->input.c = op->channels;
    to->filter.n = 1;
    to->filter.h = op->kernel_h;
    to->filter.w = op->kernel_w;
    to->filter.c = 1;
    to->output.n = 1;
    to->output.h = op->output_h;
    to->output.w = op->output_w;
    to->output.c = op->channels;
}

#endif /* PTEE_POOL2D_H */
