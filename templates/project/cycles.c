/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cycles of the processor: DWT's counter where there is one that counts, else SysTick, whose 24 bits an interrupt
 * extends. Emulators often have a DWT that stands still.
 *
 * Source: Armv7-M Architecture Reference Manual, B3.3 (SysTick), C1.6.5 (DEMCR), C1.8 (DWT).
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)

#define SYSTICK_MOST 0xFFFFFFu

typedef enum { COUNTER_NONE, COUNTER_DWT, COUNTER_SYSTICK } counter;

void SysTick_Handler(void);

static counter chosen = COUNTER_NONE;
static volatile uint32_t wraps;

void SysTick_Handler(void)
{
    wraps++;
}

/* What it counted meanwhile. Before Armv7-M, and in the base line of Armv8-M, DWT has no cycle counter. */
static uint32_t start_dwt(void)
{
#if __ARM_ARCH >= 7 && !defined(__ARM_ARCH_8M_BASE__)
    DEMCR |= 1u << 24;
    DWT_LAR = 0xC5ACCE55u; /* Cortex-M7 locks it */
    if ((DWT_CTRL & (1u << 25)) != 0u) {
        return 0u;
    }
    DWT_CYCCNT = 0u;
    DWT_CTRL |= 1u;
    const uint32_t before = DWT_CYCCNT;
    for (unsigned i = 0; i < 64u; i++) {
        __asm__ volatile("nop" ::: "memory");
    }
    return DWT_CYCCNT - before;
#else
    return 0u;
#endif
}

/* Not 0 where it counts at all. */
static uint32_t start_systick(void)
{
    SYST_RVR = SYSTICK_MOST;
    SYST_CVR = 0u;
    SYST_CSR = 7u; /* the processor's clock, an interrupt at every wrap */
    const uint32_t before = SYST_CVR;
    for (unsigned i = 0; i < 1000u; i++) {
        if (SYST_CVR != before) {
            return 1u;
        }
    }
    return 0u;
}

const char *cycles_start(void)
{
    if (start_dwt() != 0u) {
        chosen = COUNTER_DWT;
        return "DWT";
    }
    if (start_systick() != 0u) {
        chosen = COUNTER_SYSTICK;
        return "SysTick";
    }
    chosen = COUNTER_NONE;
    return "none";
}

uint32_t cycles_now(void)
{
    if (chosen == COUNTER_DWT) {
        return DWT_CYCCNT;
    }
    if (chosen == COUNTER_NONE) {
        return 0u;
    }
    uint32_t high;
    uint32_t low;
    do {
        high = wraps;
        low = SYST_CVR;
    } while (high != wraps);
    return (high << 24) + (SYSTICK_MOST - low);
}
