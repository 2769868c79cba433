/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text through RTT: a ring in RAM that a debugger finds by its mark and empties while the program runs. What does not
 * fit is waited for, so a debugger must read along.
 *
 * Source: SEGGER knowledge base, "RTT": layout of the control block.
 */
#include "board.h"

enum { RING_BYTES = 1024, WAIT_FOR_ROOM = 2 };

typedef struct {
    const char *name;
    char *bytes;
    uint32_t nbytes;
    volatile uint32_t written; /* by the program */
    volatile uint32_t read;    /* by the debugger */
    uint32_t flags;
} ring;

typedef struct {
    char mark[16];
    int32_t rings_up;
    int32_t rings_down;
    ring up[1];
} control_block;

static char bytes[RING_BYTES];
control_block _SEGGER_RTT;

/* The mark is put together here, last of all: its text elsewhere in memory would be found first. */
static void start(void)
{
    static const char reversed[] = "TTR REGGES";
    ring *const up = &_SEGGER_RTT.up[0];
    up->name = "Terminal";
    up->bytes = bytes;
    up->nbytes = (uint32_t)RING_BYTES;
    up->flags = (uint32_t)WAIT_FOR_ROOM;
    _SEGGER_RTT.rings_up = 1;
    for (uint32_t i = 0u; i < sizeof reversed - 1u; i++) {
        _SEGGER_RTT.mark[i] = reversed[sizeof reversed - 2u - i];
    }
}

__attribute__((weak)) void selftest_putc(char character)
{
    ring *const up = &_SEGGER_RTT.up[0];
    if (up->nbytes == 0u) {
        start();
    }
    const uint32_t at = up->written;
    const uint32_t next = (at + 1u) % (uint32_t)RING_BYTES;
    while (next == up->read) {
    }
    up->bytes[at] = character;
    __asm__ volatile("" ::: "memory");
    up->written = next;
}

__attribute__((weak)) _Noreturn void selftest_end(int32_t code)
{
    (void)code;
    for (;;) {
    }
}
