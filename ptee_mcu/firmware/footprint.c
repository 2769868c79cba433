/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest application around a generated network: what it links is what the network costs in flash and RAM.
 *
 * Compiled with the same macros as harness.c.
 */
#include <stdalign.h>

#include PTEE_MODEL_HEADER

#define JOIN(a, b) JOIN_TEXT(a, b)
#define JOIN_TEXT(a, b) a##b
#define MODEL(suffix) JOIN(PTEE_NAME, suffix)
#define CONSTANT(suffix) JOIN(PTEE_PREFIX, suffix)

int main(void);

PTEE_SECTION(CONSTANT(_ARENA_SECTION)) static alignas(CONSTANT(_ARENA_ALIGN)) uint8_t arena[CONSTANT(_ARENA_BYTES)];
#ifdef PTEE_TAKES_STAGE
PTEE_SECTION(CONSTANT(_STAGE_SECTION)) static alignas(CONSTANT(_STAGE_ALIGN)) uint8_t stage[CONSTANT(_STAGE_BYTES)];
#define BUFFERS arena, sizeof arena, stage, sizeof stage
#else
#define BUFFERS arena, sizeof arena
#endif
static MODEL(_t) network;

int main(void)
{
    MODEL(_result) result;
    if (ptee_failed(MODEL(_init)(&network, BUFFERS)) || MODEL(_input)(&network) == NULL) {
        return 1;
    }
    return ptee_failed(MODEL(_run)(&network, &result)) ? 2 : (int)result.label;
}
