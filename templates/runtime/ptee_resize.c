/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest-neighbour enlargement by whole factors. */
#include "ptee_runtime.h"

#include <string.h>

void ptee_resize(const ptee_resize_t *op, const int8_t *input, int8_t *output)
{
    const uint32_t line_bytes = (uint32_t)op->input_w * op->scale_w * op->channels;
    for (uint32_t y = op->input_h; y != 0; y--) {
        const int8_t *const line = output;
        for (uint32_t x = op->input_w; x != 0; x--) {
            for (uint32_t again = op->scale_w; again != 0; again--) {
                (void)memcpy(output, input, op->channels);
                output += op->channels;
            }
            input += op->channels;
        }
        for (uint32_t again = op->scale_h; again > 1u; again--) {
            (void)memcpy(output, line, line_bytes);
            output += line_bytes;
        }
    }
}
