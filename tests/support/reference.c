/* SPDX-License-Identifier: Apache-2.0 */
/* CMSIS-NN's functions over batches, with plain arguments for ctypes. Each returns 0, or what CMSIS-NN returned. */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"
#include "ptee_runtime.h"

#include <stdlib.h>

typedef struct {
    int32_t batch;
    int32_t input_h, input_w, input_c;
    int32_t output_h, output_w, output_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t padding_h, padding_w;
    int32_t dilation_h, dilation_w;
    int32_t input_offset, output_offset;
    int32_t act_min, act_max;
} layer;

typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    int32_t *multiplier;
    int32_t *shift;
} constants;

static cmsis_nn_dims dims(int32_t n, int32_t h, int32_t w, int32_t c)
{
    return (cmsis_nn_dims){.n = n, .h = h, .w = w, .c = c};
}

static cmsis_nn_context scratch(int32_t nbytes)
{
    return (cmsis_nn_context){.buf = malloc(nbytes > 0 ? (size_t)nbytes : 1), .size = nbytes};
}

static cmsis_nn_tile tile(int32_t h, int32_t w)
{
    return (cmsis_nn_tile){.w = w, .h = h};
}

void reference_requantize(int32_t count, const int32_t *values, int32_t multiplier, int32_t shift, int32_t *output)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = arm_nn_requantize(values[i], multiplier, shift);
    }
}

void reference_divide(int32_t count, const int32_t *values, int32_t exponent, int32_t *output)
{
    for (int32_t i = 0; i < count; i++) {
        output[i] = arm_nn_divide_by_power_of_two(values[i], exponent);
    }
}

int reference_conv2d(const layer *l, const constants *k, const int8_t *input, int8_t *output)
{
    const cmsis_nn_conv_params params = {
        .input_offset = l->input_offset,
        .output_offset = l->output_offset,
        .stride = tile(l->stride_h, l->stride_w),
        .padding = tile(l->padding_h, l->padding_w),
        .dilation = tile(l->dilation_h, l->dilation_w),
        .activation = {.min = l->act_min, .max = l->act_max},
    };
    const cmsis_nn_per_channel_quant_params requant = {.multiplier = k->multiplier, .shift = k->shift};
    const cmsis_nn_dims in = dims(l->batch, l->input_h, l->input_w, l->input_c);
    const cmsis_nn_dims filter = dims(l->output_c, l->kernel_h, l->kernel_w, l->input_c);
    const cmsis_nn_dims bias = dims(1, 1, 1, l->output_c);
    const cmsis_nn_dims out = dims(l->batch, l->output_h, l->output_w, l->output_c);
    const cmsis_nn_context ctx = scratch(arm_convolve_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    const int status = arm_convolve_wrapper_s8(&ctx, &params, &requant, &in, input, &filter, k->weights, &bias, k->bias,
                                               &out, output);
    free(ctx.buf);
    return status;
}

/* One image a call: with a batch the wrapper takes another path than on a device. */
int reference_depthwise_conv2d(const layer *l, const constants *k, const int8_t *input, int8_t *output)
{
    const cmsis_nn_dw_conv_params params = {
        .input_offset = l->input_offset,
        .output_offset = l->output_offset,
        .ch_mult = l->output_c / l->input_c,
        .stride = tile(l->stride_h, l->stride_w),
        .padding = tile(l->padding_h, l->padding_w),
        .dilation = tile(l->dilation_h, l->dilation_w),
        .activation = {.min = l->act_min, .max = l->act_max},
    };
    const cmsis_nn_per_channel_quant_params requant = {.multiplier = k->multiplier, .shift = k->shift};
    const cmsis_nn_dims in = dims(1, l->input_h, l->input_w, l->input_c);
    const cmsis_nn_dims filter = dims(1, l->kernel_h, l->kernel_w, l->output_c);
    const cmsis_nn_dims bias = dims(1, 1, 1, l->output_c);
    const cmsis_nn_dims out = dims(1, l->output_h, l->output_w, l->output_c);
    const cmsis_nn_context ctx = scratch(arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    int status = 0;
    for (int32_t i = 0; i < l->batch && status == 0; i++) {
        status = arm_depthwise_conv_wrapper_s8(&ctx, &params, &requant, &in, input, &filter, k->weights, &bias, k->bias,
                                               &out, output);
        input += l->input_h * l->input_w * l->input_c;
        output += l->output_h * l->output_w * l->output_c;
    }
    free(ctx.buf);
    return status;
}

int reference_fully_connected(const layer *l, const constants *k, const int8_t *input, int8_t *output)
{
    const cmsis_nn_fc_params params = {
        .input_offset = l->input_offset,
        .output_offset = l->output_offset,
        .activation = {.min = l->act_min, .max = l->act_max},
    };
    const cmsis_nn_per_tensor_quant_params requant = {.multiplier = *k->multiplier, .shift = *k->shift};
    const cmsis_nn_dims in = dims(l->batch, 1, 1, l->input_c);
    const cmsis_nn_dims filter = dims(l->input_c, 1, 1, l->output_c);
    const cmsis_nn_dims bias = dims(1, 1, 1, l->output_c);
    const cmsis_nn_dims out = dims(l->batch, 1, 1, l->output_c);
    const cmsis_nn_context ctx = scratch(arm_fully_connected_s8_get_buffer_size(&filter));
    const int status = arm_fully_connected_s8(&ctx, &params, &requant, &in, input, &filter, k->weights, &bias, k->bias,
                                              &out, output);
    free(ctx.buf);
    return status;
}

static int pool(const layer *l, int average, const int8_t *input, int8_t *output)
{
    const cmsis_nn_pool_params params = {
        .stride = tile(l->stride_h, l->stride_w),
        .padding = tile(l->padding_h, l->padding_w),
        .activation = {.min = l->act_min, .max = l->act_max},
    };
    const cmsis_nn_dims in = dims(1, l->input_h, l->input_w, l->input_c);
    const cmsis_nn_dims filter = dims(1, l->kernel_h, l->kernel_w, 1);
    const cmsis_nn_dims out = dims(1, l->output_h, l->output_w, l->output_c);
    const cmsis_nn_context ctx = scratch(average ? arm_avgpool_s8_get_buffer_size(l->output_w, l->output_c) : 0);
    int status = 0;
    for (int32_t i = 0; i < l->batch && status == 0; i++) {
        status = (average ? arm_avgpool_s8 : arm_max_pool_s8)(&ctx, &params, &in, input, &filter, &out, output);
        input += l->input_h * l->input_w * l->input_c;
        output += l->output_h * l->output_w * l->output_c;
    }
    free(ctx.buf);
    return status;
}

int reference_avg_pool2d(const layer *l, const constants *k, const int8_t *input, int8_t *output)
{
    (void)k;
    return pool(l, 1, input, output);
}

int reference_max_pool2d(const layer *l, const constants *k, const int8_t *input, int8_t *output)
{
    (void)k;
    return pool(l, 0, input, output);
}

/* CMSIS-NN 4.0.0 as carried has no arm_elementwise_add_s8: the run-time library's own. */
void reference_add(int32_t count, int32_t offset_a, int32_t offset_b, const int32_t *multiplier, const int32_t *shift,
                   int32_t output_offset, int32_t act_min, int32_t act_max, const int8_t *a, const int8_t *b,
                   int8_t *output)
{
    const ptee_add_t op = {
        .count = (uint32_t)count,
        .multiplier_a = multiplier[0],
        .multiplier_b = multiplier[1],
        .output_multiplier = multiplier[2],
        .offset_a = (int16_t)offset_a,
        .offset_b = (int16_t)offset_b,
        .shift_a = (int8_t)shift[0],
        .shift_b = (int8_t)shift[1],
        .output_shift = (int8_t)shift[2],
        .output_offset = (int8_t)output_offset,
        .act_min = (int8_t)act_min,
        .act_max = (int8_t)act_max,
    };
    ptee_add(&op, a, b, output);
}
