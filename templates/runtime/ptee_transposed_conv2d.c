/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transposed convolution: every output gathers the input pixels whose taps reach it, so that no sum waits in scratch.
 * Releases of CMSIS-NN before 5.0 have none; this one serves all.
 */
#include "ptee_requantize.h"

/* Input positions [first, end) along one axis that reach an output position. */
typedef struct {
    int32_t first;
    int32_t end;
} reach;

/* Input i reaches output `at` - padding by tap at - i * stride of 0..kernel - 1. */
static inline reach reaching(int32_t at, int32_t kernel, int32_t stride, int32_t extent)
{
    const int32_t last = at / stride;
    const reach found = {
        .first = at < kernel ? 0 : (at - kernel) / stride + 1,
        .end = last < extent ? last + 1 : extent,
    };
    return found;
}

void ptee_transposed_conv2d(const ptee_transposed_conv2d_t *op, const int8_t *input, int8_t *output)
{
    const int32_t channels = op->input_c;
    const int32_t offset = op->input_offset;
    const int32_t stride_h = op->stride_h;
    const int32_t stride_w = op->stride_w;
    const int32_t kernel_w = op->kernel_w;
    const int32_t input_w = op->input_w;
    for (int32_t y = op->padding_h; y < op->padding_h + op->output_h; y++) {
        const reach rows = reaching(y, op->kernel_h, stride_h, op->input_h);
        for (int32_t x = op->padding_w; x < op->padding_w + op->output_w; x++) {
            const reach columns = reaching(x, kernel_w, stride_w, input_w);
            const int8_t *weights = op->weights;
            for (int32_t out = 0; out < op->output_c; out++) {
                int32_t sum = op->bias[out];
                for (int32_t row = rows.first; row < rows.end; row++) {
                    const int8_t *const tap_row = &weights[(y - row * stride_h) * kernel_w * channels];
                    const int8_t *const line = &input[row * input_w * channels];
                    for (int32_t column = columns.first; column < columns.end; column++) {
                        const int8_t *weight = &tap_row[(x - column * stride_w) * channels];
                        const int8_t *pixel = &line[column * channels];
                        for (int32_t left = channels; left != 0; left--) {
                            sum += (*pixel++ + offset) * *weight++;
                        }
                    }
                }
                const int32_t code = ptee_requantize(sum, op->multiplier[out], op->shift[out]) + op->output_offset;
                *output++ = ptee_clamp(code, op->act_min, op->act_max);
                weights += op->kernel_h * kernel_w * channels;
            }
        }
    }
}
