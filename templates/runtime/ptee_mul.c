/* SPDX-License-Identifier: Apache-2.0 */
/* Product of two tensors, equal to arm_elementwise_mul_s8 of CMSIS-NN 4.0.0 for every pair of codes. */
#include "ptee_rescale.h"

void ptee_mul(const ptee_mul_t *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    const ptee_rescale by = ptee_rescale_by(op->multiplier, op->shift);
    const int32_t offset_a = op->offset_a;
    const int32_t offset_b = op->offset_b;
    const int32_t output_offset = op->output_offset;
    const int32_t act_min = op->act_min;
    const int32_t act_max = op->act_max;
    const int8_t *const first_b = op->factor != NULL ? op->factor : b;
    for (uint32_t pass = op->passes; pass != 0; pass--) {
        const int8_t *next_b = first_b;
        for (uint32_t left = op->period; left != 0; left--) {
            const int32_t product = (*a++ + offset_a) * (*next_b++ + offset_b);
            int32_t code = ptee_rescaled(by, product) + output_offset;
            code = code < act_min ? act_min : code;
            code = code > act_max ? act_max : code;
            *output++ = (int8_t)code;
        }
    }
}
