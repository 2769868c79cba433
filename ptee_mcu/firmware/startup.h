/* SPDX-License-Identifier: Apache-2.0 */
/* What the startup code offers to firmware under test. */
#ifndef PTEE_STARTUP_H
#define PTEE_STARTUP_H

#include <stdint.h>

/* Exit code of a firmware that ended in a processor fault. */
#define PTEE_FAULT_EXIT 86

/* Bytes of stack below `from` that were written since reset: the deepest point any call reached. */
uint32_t ptee_stack_used_below(uintptr_t from);

#endif /* PTEE_STARTUP_H */
