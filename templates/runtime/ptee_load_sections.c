/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of memories that are empty after reset, by the table in the linker script. */
#include "ptee_runtime.h"

#if defined(__GNUC__) && defined(__arm__)

typedef struct {
    const uint32_t *from;
    uint32_t *to;
    uint32_t words;
} row;

extern const row ptee_load_table_start[], ptee_load_table_end[];

void ptee_load_sections(void)
{
    for (const row *at = ptee_load_table_start; at < ptee_load_table_end; at++) {
        for (uint32_t i = 0; i < at->words; i++) {
            at->to[i] = at->from[i];
        }
    }
}

#else

void ptee_load_sections(void)
{
}

#endif
