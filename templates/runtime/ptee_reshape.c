/* SPDX-License-Identifier: Apache-2.0 */
/* The same bytes at another place, where the plan gave them one. */
#include "ptee_runtime.h"

#include <string.h>

void ptee_reshape(const ptee_reshape_t *op, const int8_t *input, int8_t *output)
{
    if (output != input) {
        (void)memmove(output, input, op->count);
    }
}
