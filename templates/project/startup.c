/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From reset to main: vectors, a painted stack, FPU or MVE, level 1 caches, .data, .bss, and what ptee_load_sections
 * copies. Where interrupts of the chip are used, put the chip's own start-up code in the place of this file.
 *
 * Source: Armv7-M Architecture Reference Manual, B1.5.2 (vectors), B1.5.6 (exception frame), B2.2.7 (cache operations),
 * B3.2.2 (system control registers).
 */
#include <stdbool.h>
#include <stddef.h>

#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define VTOR REGISTER(0xE000ED08u)
#define CCR REGISTER(0xE000ED14u)
#define CFSR REGISTER(0xE000ED28u)
#define CLIDR REGISTER(0xE000ED78u)
#define CCSIDR REGISTER(0xE000ED80u)
#define CSSELR REGISTER(0xE000ED84u)
#define CPACR REGISTER(0xE000ED88u)
#define ICIALLU REGISTER(0xE000EF50u)
#define DCISW REGISTER(0xE000EF60u)

#define STACK_PAINT 0xA5C3F01E
#define TEXT_OF(macro) TEXT(macro)
#define TEXT(words) #words

extern uint32_t ptee_stack_bottom[], ptee_stack_top[];
extern uint32_t ptee_data_load[], ptee_data_start[], ptee_data_end[];
extern uint32_t ptee_bss_start[], ptee_bss_end[];

int main(void);
/* In projects with constants that are copied before main. */
__attribute__((weak)) void ptee_load_sections(void);
void Reset_Handler(void);
void Fault_Handler(void);
_Noreturn void board_start(void);
_Noreturn void board_fault(const uint32_t *frame, uint32_t exception);

#define UNLESS_DEFINED __attribute__((weak, alias("Fault_Handler")))
UNLESS_DEFINED void NMI_Handler(void);
UNLESS_DEFINED void HardFault_Handler(void);
UNLESS_DEFINED void MemManage_Handler(void);
UNLESS_DEFINED void BusFault_Handler(void);
UNLESS_DEFINED void UsageFault_Handler(void);
UNLESS_DEFINED void SecureFault_Handler(void);
UNLESS_DEFINED void SVC_Handler(void);
UNLESS_DEFINED void DebugMon_Handler(void);
UNLESS_DEFINED void PendSV_Handler(void);
UNLESS_DEFINED void SysTick_Handler(void);

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector;

typedef struct {
    vector vectors[16];
#ifdef BOARD_RP2350
    uint32_t image_definition[5]; /* its boot ROM looks for one in the first 4 KiB: RP2350 data sheet, 5.9.5.1 */
#endif
} start_of_flash;

__attribute__((section(".isr_vector"), used)) static const start_of_flash start = {
    .vectors =
        {
            {.stack = ptee_stack_top},
            {.handler = Reset_Handler},
            {.handler = NMI_Handler},
            {.handler = HardFault_Handler},
            {.handler = MemManage_Handler},
            {.handler = BusFault_Handler},
            {.handler = UsageFault_Handler},
            {.handler = SecureFault_Handler},
            {.handler = Fault_Handler},
            {.handler = Fault_Handler},
            {.handler = Fault_Handler},
            {.handler = SVC_Handler},
            {.handler = DebugMon_Handler},
            {.handler = Fault_Handler},
            {.handler = PendSV_Handler},
            {.handler = SysTick_Handler},
        },
#ifdef BOARD_RP2350
    .image_definition = {0xFFFFDED3u, 0x10210142u, 0x000001FFu, 0x00000000u, 0xAB123579u},
#endif
};

__attribute__((weak)) void board_init(void)
{
}

static void print(const char *text)
{
    while (*text != '\0') {
        selftest_putc(*text++);
    }
}

static void print_hex(uint32_t value)
{
    print(" 0x");
    for (unsigned shift = 32; shift != 0;) {
        shift -= 4u;
        selftest_putc("0123456789abcdef"[(value >> shift) & 15u]);
    }
}

/* `frame` is the stack pointer at the fault: r0-r3, r12, lr, pc, xpsr. It may itself lie outside the stack. */
_Noreturn void board_fault(const uint32_t *frame, uint32_t exception)
{
    const bool whole = frame >= ptee_stack_bottom && frame + 8 <= ptee_stack_top;
    print("\nfault: exception");
    print_hex(exception);
    print(", pc");
    print_hex(whole ? frame[6] : 0xFFFFFFFFu);
#if __ARM_ARCH >= 7
    print(", status");
    print_hex(CFSR);
#endif
    print("\n");
    selftest_putc(BOARD_END_OF_TEXT);
    selftest_end(BOARD_FAULT_EXIT);
}

/* Where the stack is what broke, the report starts a fresh one; else it stays clear of the exception frame. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm__ volatile("mrs r0, msp\n"
                     "mrs r1, ipsr\n"
                     "ldr r2, =ptee_stack_bottom + 512\n"
                     "cmp r0, r2\n"
                     "bhi 1f\n"
                     "ldr r2, =ptee_stack_top\n"
                     "mov sp, r2\n"
                     "1: bl board_fault\n");
}

/* The stack is painted before any C runs, so that no frame is overwritten. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm__ volatile("ldr r0, =ptee_stack_bottom\n"
                     "ldr r1, =ptee_stack_top\n"
                     "mov sp, r1\n"
                     "ldr r2, =" TEXT_OF(STACK_PAINT) "\n"
                     "1: cmp r0, r1\n"
                     "bhs 2f\n"
                     "str r2, [r0]\n"
                     "adds r0, #4\n"
                     "b 1b\n"
                     "2: bl board_start\n");
}

#ifdef BOARD_L1_CACHES
/* Both level 1 caches hold garbage after reset: invalidated, then switched on. */
static void enable_caches(void)
{
    const uint32_t levels = CLIDR;
    if ((levels & 1u) != 0u) {
        ICIALLU = 0u;
        __asm__ volatile("dsb\nisb\n" ::: "memory");
        CCR |= 1u << 17;
    }
    if ((levels & 2u) != 0u) {
        CSSELR = 0u;
        __asm__ volatile("dsb\n" ::: "memory");
        const uint32_t size = CCSIDR;
        const uint32_t last_set = (size >> 13) & 0x7FFFu;
        const uint32_t last_way = (size >> 3) & 0x3FFu;
        const uint32_t set_shift = (size & 7u) + 4u;
        uint32_t way_shift = 32u;
        for (uint32_t ways = last_way; ways != 0u; ways >>= 1) {
            way_shift--;
        }
        for (uint32_t set = 0u; set <= last_set; set++) {
            for (uint32_t way = 0u; way <= last_way; way++) {
                DCISW = (set << set_shift) | (last_way == 0u ? 0u : way << way_shift);
            }
        }
        __asm__ volatile("dsb\n" ::: "memory");
        CCR |= 1u << 16;
    }
    __asm__ volatile("dsb\nisb\n" ::: "memory");
}
#endif

_Noreturn void board_start(void)
{
#if __ARM_ARCH >= 7
    VTOR = (uint32_t)(uintptr_t)&start;
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\nisb\n" ::: "memory");
#endif
    board_init();
#ifdef BOARD_L1_CACHES
    enable_caches();
#endif
    const uint32_t *load = ptee_data_load;
    for (uint32_t *to = ptee_data_start; to < ptee_data_end; to++) {
        *to = *load++;
    }
    for (uint32_t *to = ptee_bss_start; to < ptee_bss_end; to++) {
        *to = 0u;
    }
    if (ptee_load_sections != NULL) {
        ptee_load_sections();
    }
    selftest_end(main());
}

uint32_t board_stack_used(void)
{
    const volatile uint32_t *lowest = ptee_stack_bottom;
    while ((const volatile uint32_t *)lowest < ptee_stack_top && *lowest == STACK_PAINT) {
        lowest++;
    }
    return (uint32_t)((uintptr_t)ptee_stack_top - (uintptr_t)lowest);
}

uint32_t board_stack_bytes(void)
{
    return (uint32_t)((uintptr_t)ptee_stack_top - (uintptr_t)ptee_stack_bottom);
}
