/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USART1 on PA9 and PA10, or USART2 on PA2 and PA3, of an STM32F4, by BOARD_UART_NUMBER; BOARD_UART_CLOCK_HZ is the
 * clock of its bus, 16 MHz after reset. Other STM32 families have other registers.
 *
 * Source: ST RM0090, sections 7.3 (RCC), 8.4 (GPIO) and 30.6 (USART); data sheet of the STM32F405, table 9 (pins).
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define GPIOA_MODER REGISTER(0x40020000u)

#if BOARD_UART_NUMBER == 1
#define BASE 0x40011000u
#define RCC_APBENR REGISTER(0x40023844u)
#define RCC_BIT (1u << 4)
#define GPIOA_AFR REGISTER(0x40020024u)
#define FIRST_PIN 9u
#elif BOARD_UART_NUMBER == 2
#define BASE 0x40004400u
#define RCC_APBENR REGISTER(0x40023840u)
#define RCC_BIT (1u << 17)
#define GPIOA_AFR REGISTER(0x40020020u)
#define FIRST_PIN 2u
#else
#error "BOARD_UART_NUMBER is 1 or 2"
#endif

#define SR REGISTER(BASE)
#define DR REGISTER(BASE + 0x04u)
#define BRR REGISTER(BASE + 0x08u)
#define CR1 REGISTER(BASE + 0x0Cu)
#define MODE_SHIFT (FIRST_PIN * 2u)
#define AF_SHIFT ((FIRST_PIN % 8u) * 4u)

void uart_init(void)
{
    RCC_AHB1ENR |= 1u;
    RCC_APBENR |= RCC_BIT;
    (void)RCC_APBENR; /* the clock is there only after a read */
    GPIOA_AFR = (GPIOA_AFR & ~(0xFFu << AF_SHIFT)) | (0x77u << AF_SHIFT);
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << MODE_SHIFT)) | (0xAu << MODE_SHIFT);
    BRR = (BOARD_UART_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD;
    CR1 = (1u << 13) | (1u << 3) | (1u << 2);
}

void uart_putc(uint8_t byte)
{
    while ((SR & (1u << 7)) == 0u) {
    }
    DR = byte;
}

uint8_t uart_getc(void)
{
    while ((SR & (1u << 5)) == 0u) {
    }
    return (uint8_t)DR;
}
