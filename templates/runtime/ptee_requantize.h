/* SPDX-License-Identifier: Apache-2.0 */
/* Rescaling of a sum to codes, equal to arm_nn_requantize of CMSIS-NN 4.0.0 with two roundings; for our own kernels. */
#ifndef PTEE_REQUANTIZE_H
#define PTEE_REQUANTIZE_H

#include "ptee_runtime.h"

/*
 * value * multiplier * 2^(shift - 31): first the high word of the doubled product, midpoints upwards, then a division by
 * a power of two, midpoints away from zero. `shift` lies in [-31, 30]; value * 2^shift must fit int32 where it is
 * positive. Right shifts of negative values are arithmetic, as GCC, Clang and the Arm compilers define them.
 */
static inline int32_t ptee_requantize(int32_t value, int32_t multiplier, int32_t shift)
{
    const int32_t raised = shift > 0 ? value * ((int32_t)1 << shift) : value;
    const int32_t high = (int32_t)(((int64_t)raised * multiplier + INT64_C(0x40000000)) >> 31);
    const uint32_t mask = shift < 0 ? (UINT32_C(1) << -shift) - 1u : 0u;
    const uint32_t threshold = (mask >> 1) + (high < 0 ? 1u : 0u);
    const int32_t floored = shift < 0 ? high >> -shift : high;
    return floored + (((uint32_t)high & mask) > threshold ? 1 : 0);
}

/* `value` held to [low, high]. */
static inline int8_t ptee_clamp(int32_t value, int32_t low, int32_t high)
{
    const int32_t raised = value < low ? low : value;
    return (int8_t)(raised > high ? high : raised);
}

#endif /* PTEE_REQUANTIZE_H */
