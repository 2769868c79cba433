/* SPDX-License-Identifier: Apache-2.0 */
/* A function of one element at a time, by table. */
#include "ptee_runtime.h"

void ptee_lookup(const ptee_lookup_t *op, const int8_t *input, int8_t *output)
{
    const int8_t *const table = op->table;
    uint32_t left = op->count;
    for (; left >= 4; left -= 4) {
        const int8_t a = table[(uint8_t)input[0]];
        const int8_t b = table[(uint8_t)input[1]];
        const int8_t c = table[(uint8_t)input[2]];
        const int8_t d = table[(uint8_t)input[3]];
        output[0] = a;
        output[1] = b;
        output[2] = c;
        output[3] = d;
        input += 4;
        output += 4;
    }
    for (; left != 0; left--) {
        *output++ = table[(uint8_t)*input++];
    }
}
