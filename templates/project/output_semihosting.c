/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text through semihosting, line by line. Without a debugger or an emulator that serves it, the first line is a fault.
 *
 * Source: Arm, "Semihosting for AArch32 and AArch64", release 2.0.
 */
#include "board.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026, LINE_BYTES = 96 };

static void call(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static char line[LINE_BYTES];
static uint32_t filled;

__attribute__((weak)) void selftest_putc(char character)
{
    line[filled] = character;
    filled++;
    if (character == '\n' || character == BOARD_END_OF_TEXT || filled == (uint32_t)LINE_BYTES - 1u) {
        line[filled] = '\0';
        filled = 0u;
        call(SYS_WRITE0, line);
    }
}

__attribute__((weak)) _Noreturn void selftest_end(int32_t code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        call(SYS_EXIT_EXTENDED, block);
    }
}
