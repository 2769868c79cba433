/* SPDX-License-Identifier: Apache-2.0 */
/* Included ahead of every source of a traced build: each op of the network hands its output to the harness. */
#ifndef PTEE_HARNESS_TRACE_H
#define PTEE_HARNESS_TRACE_H

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Leaves every register and every byte of the network as it found them, apart from what a call may change. */
void ptee_trace_op(uint32_t index, const int8_t *data, uint32_t nbytes);

#define PTEE_TRACE_OP(index, data, nbytes) ptee_trace_op((uint32_t)(index), (const int8_t *)(data), (uint32_t)(nbytes))

#endif /* __ASSEMBLER__ */
#endif /* PTEE_HARNESS_TRACE_H */
