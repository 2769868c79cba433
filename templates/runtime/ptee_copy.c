/* SPDX-License-Identifier: Apache-2.0 */
/* Copies by the processor, where an application defines no others. */
#include "ptee_runtime.h"

#include <string.h>

#ifndef PTEE_WEAK
#if defined(__GNUC__) || defined(__ICCARM__)
#define PTEE_WEAK __attribute__((weak))
#else
#error "define PTEE_WEAK as the word by which this compiler lets another definition win"
#endif
#endif

PTEE_WEAK void ptee_copy_begin(void *to, const void *from, size_t nbytes)
{
    (void)to;
    (void)from;
    (void)nbytes;
}

/* All at the wait: an exit that fires costs no copy in vain. */
PTEE_WEAK void ptee_copy_wait(void *to, const void *from, size_t nbytes)
{
    (void)memcpy(to, from, nbytes);
}
