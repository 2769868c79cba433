/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The APB UART of Arm's MPS2 and MPS3 boards, at BOARD_UART_BASE, clocked by BOARD_UART_CLOCK_HZ.
 *
 * Source: Arm Cortex-M System Design Kit Technical Reference Manual (DDI 0479), 4.3.
 */
#include "board.h"

#define REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define DATA REGISTER(0x00u)
#define STATE REGISTER(0x04u)
#define CTRL REGISTER(0x08u)
#define BAUDDIV REGISTER(0x10u)

void uart_init(void)
{
    BAUDDIV = BOARD_UART_CLOCK_HZ / BOARD_BAUD;
    CTRL = 3u; /* both directions on */
}

void uart_putc(uint8_t byte)
{
    while ((STATE & 1u) != 0u) {
    }
    DATA = byte;
}

uint8_t uart_getc(void)
{
    while ((STATE & 2u) == 0u) {
    }
    return (uint8_t)DATA;
}
