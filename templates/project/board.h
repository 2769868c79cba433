/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the applications need of a board. Functions called weak have a default that an application may replace by
 * defining its own.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* What is printed after the last line: `pyocd run --eot` and the host's tools stop reading there. */
#define BOARD_END_OF_TEXT '\004'

/* Exit code of an application that ended in a processor fault. */
#define BOARD_FAULT_EXIT 86

/*
 * Weak; does nothing. Clocks, wait states, memories that are off after reset. Runs before .data and .bss are there, so
 * it must not use variables that outlive it.
 */
void board_init(void);

/* Bytes of stack that were written since reset, and all that there are. */
uint32_t board_stack_used(void);
uint32_t board_stack_bytes(void);

/* Starts the processor's cycle counter, else SysTick at the processor's clock; "DWT", "SysTick" or "none". */
const char *cycles_start(void);

/* Cycles since some moment, modulo 2^32; 0 where nothing counts. */
uint32_t cycles_now(void);

/* Weak; output.c. Where the self-test and reports of faults go. */
void selftest_putc(char character);

/* Weak; output.c. Ends the application: the debugger or the emulator gets `code`, where one listens. */
_Noreturn void selftest_end(int32_t code);

/*
 * Weak; uart.c. 8 data bits, no parity, 1 stop bit, at BOARD_BAUD. The default sends nothing and waits forever for what
 * it receives: define them for your board, or link one of the drivers uart_*.c.
 */
#ifndef BOARD_BAUD
#define BOARD_BAUD 115200u
#endif
void uart_init(void);
void uart_putc(uint8_t byte);
uint8_t uart_getc(void);

#endif /* BOARD_H */
