/* SPDX-License-Identifier: Apache-2.0 */
/* Exact preprocessing: raw pixels to input codes by table. */
#include "ptee_runtime.h"

void ptee_lookup_u8(const ptee_lookup_u8_t *op, const uint8_t *pixels, int8_t *output)
{
    for (uint32_t pixel = op->pixels; pixel != 0; pixel--) {
        const int8_t *table = op->tables;
        for (uint32_t channel = op->channels; channel != 0; channel--) {
            *output++ = table[*pixels++];
            table += 256;
        }
    }
}
