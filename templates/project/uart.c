/* SPDX-License-Identifier: Apache-2.0 */
/* A UART that nobody has written a driver for: define these three for your board. */
#include "board.h"

__attribute__((weak)) void uart_init(void)
{
}

__attribute__((weak)) void uart_putc(uint8_t byte)
{
    (void)byte;
}

__attribute__((weak)) uint8_t uart_getc(void)
{
    for (;;) {
    }
}
