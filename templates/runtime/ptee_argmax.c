/* SPDX-License-Identifier: Apache-2.0 */
/* Label of a vector of codes. */
#include "ptee_runtime.h"

uint32_t ptee_argmax(const int8_t *codes, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (codes[i] > codes[best]) {
            best = i;
        }
    }
    return best;
}
