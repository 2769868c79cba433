/* SPDX-License-Identifier: Apache-2.0 */
/* Mean of each channel over all pixels, rescaled as TFLite's reference kernel does it. */
#include "ptee_requantize.h"

void ptee_mean(const ptee_mean_t *op, const int8_t *input, int8_t *output)
{
    const uint32_t channels = op->channels;
    for (uint32_t channel = 0; channel < channels; channel++) {
        const int8_t *element = &input[channel];
        int32_t sum = op->offset;
        for (uint32_t left = op->pixels; left != 0; left--) {
            sum += *element;
            element += channels;
        }
        output[channel] = ptee_clamp(ptee_requantize(sum, op->multiplier, op->shift) + op->output_offset, -128, 127);
    }
}
