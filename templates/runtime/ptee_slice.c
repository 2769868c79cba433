/* SPDX-License-Identifier: Apache-2.0 */
/* Strided slice of h and w, contiguous range of channels. */
#include "ptee_runtime.h"

#include <string.h>

void ptee_slice(const ptee_slice_t *op, const int8_t *input, int8_t *output)
{
    const uint32_t row_step = (uint32_t)op->step_h * op->input_w * op->input_c;
    const uint32_t pixel_step = (uint32_t)op->step_w * op->input_c;
    input += ((uint32_t)op->start_h * op->input_w + op->start_w) * op->input_c + op->start_c;
    for (uint32_t y = op->output_h; y != 0; y--) {
        const int8_t *from = input;
        for (uint32_t x = op->output_w; x != 0; x--) {
            (void)memcpy(output, from, op->output_c);
            output += op->output_c;
            from += pixel_step;
        }
        input += row_step;
    }
}
