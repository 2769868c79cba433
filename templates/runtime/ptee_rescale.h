/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rescaling of arm_nn_requantize (CMSIS-NN 4.0.0, rounded twice), in fewer steps, for small values; not for
 * applications.
 *
 * Multipliers are 0 or in [2^30, 2^31). A shift above zero is to the left and leaves |value * 2^shift| < 2^30; with
 * others |value| < 2^16.
 *
 * 1. Doubling high multiply: floor((v * m + 2^30) / 2^31) = floor((2v * m + 2^31) / 2^32), the high word of one
 *    rounded 32 x 32 multiply; 2v fits 32 bits.
 * 2. Division of x by 2^e, midpoints away from zero: floor((2x + 2^e + s) / 2^(e+1)) with s = -1 for x < 0, else 0. It
 *    needs no case for e = 0, where |2x| < 2^31 - 1; for e = 31 the quotient is 0, as it is for e = 30.
 *
 * Right shifts of negative values are arithmetic, as GCC, Clang and the Arm compilers define them.
 */
#ifndef PTEE_RESCALE_H
#define PTEE_RESCALE_H

#include "ptee_runtime.h"

typedef struct {
    int32_t multiplier;
    int32_t nudge;
    int32_t left;
    int32_t right;
} ptee_rescale;

static inline ptee_rescale ptee_rescale_by(int32_t multiplier, int8_t shift)
{
    const int32_t exponent = shift;
    const int32_t left = exponent > 0 ? exponent : 0;
    const int32_t right = exponent < -30 ? 30 : left - exponent;
    const ptee_rescale by = {multiplier, (int32_t)1 << right, left + 1, right + 1};
    return by;
}

static inline int32_t ptee_rescaled(ptee_rescale by, int32_t value)
{
    const int32_t doubled = (int32_t)((uint32_t)value << by.left);
    int32_t high;
#if defined(__ARM_FEATURE_DSP) /* spelled out because GCC 12 has no pattern for it */
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(doubled), "r"(by.multiplier));
#else
    high = (int32_t)(((int64_t)doubled * by.multiplier + INT64_C(0x80000000)) >> 32);
#endif
    return (by.nudge + 2 * high + (high >> 31)) >> by.right;
}

#endif /* PTEE_RESCALE_H */
