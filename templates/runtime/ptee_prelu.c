/* SPDX-License-Identifier: Apache-2.0 */
/* A slope per channel below zero, with the arithmetic of TensorFlow Lite's PRELU. */
#include "ptee_rescale.h"

void ptee_prelu(const ptee_prelu_t *op, const int8_t *input, int8_t *output)
{
    const ptee_rescale by_above = ptee_rescale_by(op->multiplier_above, op->shift_above);
    const ptee_rescale by_below = ptee_rescale_by(op->multiplier_below, op->shift_below);
    const int32_t input_offset = op->input_offset;
    const int32_t alpha_offset = op->alpha_offset;
    const int32_t output_offset = op->output_offset;
    for (uint32_t pixel = op->pixels; pixel != 0; pixel--) {
        const int8_t *alpha = op->alpha;
        for (uint32_t channel = op->channels; channel != 0; channel--) {
            const int32_t value = *input++ + input_offset;
            const int32_t slope = *alpha++ + alpha_offset;
            int32_t code = value >= 0 ? ptee_rescaled(by_above, value) : ptee_rescaled(by_below, value * slope);
            code += output_offset;
            code = code < INT8_MIN ? INT8_MIN : code;
            code = code > INT8_MAX ? INT8_MAX : code;
            *output++ = (int8_t)code;
        }
    }
}
