/* SPDX-License-Identifier: Apache-2.0 */
/* One input of a concatenation along channels. */
#include "ptee_runtime.h"

#include <string.h>

void ptee_concat(const ptee_concat_t *op, const int8_t *input, int8_t *output)
{
    output += op->first_c;
    for (uint32_t pixel = op->pixels; pixel != 0; pixel--) {
        (void)memcpy(output, input, op->input_c);
        input += op->input_c;
        output += op->output_c;
    }
}
