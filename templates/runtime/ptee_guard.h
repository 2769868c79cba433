/* SPDX-License-Identifier: Apache-2.0 */
/* Guard bytes at both ends of an arena, and the seal of a context's pointers; for generated networks only. */
#ifndef PTEE_GUARD_H
#define PTEE_GUARD_H

#include "ptee_runtime.h"

/*
 * What a context keeps of its pointers: one changed bit of them, or of the seal, shows. The second pointer is NULL where
 * there is none.
 */
static inline uintptr_t ptee_seal(uint32_t magic, const void *first, const void *second)
{
    return ~(uintptr_t)magic ^ (uintptr_t)first ^ (uintptr_t)second;
}

#ifdef PTEE_GUARD

#define PTEE_GUARD_FILL ((int8_t)0x5A)

/* Writes the guards around the `nbytes` of `arena`. */
static inline void ptee_guard_set(int8_t *arena, size_t nbytes)
{
    for (size_t i = 0; i < PTEE_GUARD_BYTES; i++) {
        arena[nbytes + i] = PTEE_GUARD_FILL;
        (arena - PTEE_GUARD_BYTES)[i] = PTEE_GUARD_FILL;
    }
}

/* PTEE_OK, or PTEE_GUARD_BROKEN. */
static inline ptee_status ptee_guard_check(const int8_t *arena, size_t nbytes)
{
    for (size_t i = 0; i < PTEE_GUARD_BYTES; i++) {
        if (arena[nbytes + i] != PTEE_GUARD_FILL || (arena - PTEE_GUARD_BYTES)[i] != PTEE_GUARD_FILL) {
            return PTEE_GUARD_BROKEN;
        }
    }
    return PTEE_OK;
}

#endif

#endif /* PTEE_GUARD_H */
