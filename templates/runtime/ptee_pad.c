/* SPDX-License-Identifier: Apache-2.0 */
/* Constant padding of h, w and channels. */
#include "ptee_runtime.h"

#include <string.h>

void ptee_pad(const ptee_pad_t *op, const int8_t *input, int8_t *output)
{
    const uint32_t output_c = (uint32_t)op->front + op->input_c + op->back;
    const uint32_t output_w = (uint32_t)op->left + op->input_w + op->right;
    const uint32_t output_h = (uint32_t)op->top + op->input_h + op->bottom;
    (void)memset(output, op->fill, output_h * output_w * output_c);
    output += (op->top * output_w + op->left) * output_c + op->front;
    for (uint32_t y = op->input_h; y != 0; y--) {
        for (uint32_t x = op->input_w; x != 0; x--) {
            (void)memcpy(output, input, op->input_c);
            input += op->input_c;
            output += output_c;
        }
        output += (output_w - op->input_w) * output_c;
    }
}
