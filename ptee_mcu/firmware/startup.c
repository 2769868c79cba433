/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From reset to main on an emulated Cortex-M: vectors, FPU, .data, .bss, what ptee_load_sections copies, a painted
 * stack; a fault prints and exits. PTEE_WRITABLE, where defined, lists start and end of memories that are filled with
 * poison before anything else, so that what nobody loads or clears does not pass for zero.
 * Below the RAM of some machines QEMU ignores writes, so a stack that is too small may not fault: its paint is checked
 * at the end.
 *
 * Every instruction here exists on Armv6-M too, which has neither CFSR nor CPACR.
 *
 * Source: Armv7-M Architecture Reference Manual, B1.5.6 (exception frame), B3.2.15 (CFSR), B3.2.20 (CPACR); Armv6-M
 * Architecture Reference Manual, B3.2 (system control block); Armv8-M Architecture Reference Manual, CPACR: CP10 and
 * CP11 also hold the vector extension, whose LTPSIZE is right after reset.
 */
#include "startup.h"

#include <stdbool.h>
#include <stddef.h>

#include "semihost.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#if __ARM_ARCH_ISA_THUMB >= 2
#define FAULT_STATUS (*(volatile uint32_t *)0xE000ED28u) /* CFSR */
#else
#define FAULT_STATUS 0
#endif
#define STACK_PAINT 0xA5C3F01E
#define POISON 0xB7E9D5A3
#define TEXT_OF(macro) TEXT(macro)
#define TEXT(words) #words

extern uint32_t ptee_stack_bottom[], ptee_stack_top[];
extern uint32_t ptee_data_load[], ptee_data_start[], ptee_data_end[];
extern uint32_t ptee_bss_start[], ptee_bss_end[];

#ifdef PTEE_WRITABLE
__attribute__((used)) static const uint32_t ptee_writable[] = {PTEE_WRITABLE, 0, 0};
#else
__attribute__((used)) static const uint32_t ptee_writable[] = {0, 0};
#endif

int main(void);
/* In projects with constants that are copied before main. */
__attribute__((weak)) void ptee_load_sections(void);
void ptee_reset(void);
void ptee_fault(void);
_Noreturn void ptee_start(void);
_Noreturn void ptee_report_fault(const uint32_t *frame, uint32_t exception);

static char *hex(char *to, uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        *to++ = "0123456789abcdef"[(value >> shift) & 15u];
    }
    return to;
}

/* `frame` is the stack pointer at the fault: r0-r3, r12, lr, pc, xpsr. It may itself lie outside the RAM. */
_Noreturn void ptee_report_fault(const uint32_t *frame, uint32_t exception)
{
    char text[] = "fault: exception 0x00000000, pc 0x00000000, status 0x00000000\n";
    const bool whole = frame >= ptee_stack_bottom && frame + 8 <= ptee_stack_top;
    const uint32_t pc = whole ? frame[6] : 0xFFFFFFFFu;
    (void)hex(text + 19, exception);
    (void)hex(text + 34, pc);
    (void)hex(text + 53, FAULT_STATUS);
    semihost_write0(text);
    semihost_exit(PTEE_FAULT_EXIT);
}

/* Where the stack is what broke, the report starts a fresh one; else it stays clear of the exception frame. */
__attribute__((naked)) void ptee_fault(void)
{
    __asm__ volatile("mrs r0, msp\n"
                     "mrs r1, ipsr\n"
                     "ldr r2, =ptee_stack_bottom + 512\n"
                     "cmp r0, r2\n"
                     "bhi 1f\n"
                     "ldr r2, =ptee_stack_top\n"
                     "mov sp, r2\n"
                     "1: bl ptee_report_fault\n");
}

__attribute__((naked)) void ptee_reset(void)
{
    /* Poisoned and painted before any C runs, so that nothing of a C frame is overwritten. */
    __asm__ volatile("ldr r3, =ptee_writable\n"
                     "ldr r2, =" TEXT_OF(POISON) "\n"
                     "3: ldr r0, [r3]\n"
                     "ldr r1, [r3, #4]\n"
                     "adds r3, #8\n"
                     "cmp r1, #0\n"
                     "beq 5f\n"
                     "4: cmp r0, r1\n"
                     "bhs 3b\n"
                     "str r2, [r0]\n"
                     "adds r0, #4\n"
                     "b 4b\n"
                     "5: ldr r0, =ptee_stack_bottom\n"
                     "ldr r1, =ptee_stack_top\n"
                     "ldr r2, =" TEXT_OF(STACK_PAINT) "\n"
                     "1: cmp r0, r1\n"
                     "beq 2f\n"
                     "str r2, [r0]\n"
                     "adds r0, #4\n"
                     "b 1b\n"
                     "2: bl ptee_start\n");
}

_Noreturn void ptee_start(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\nisb\n" ::: "memory");
#endif
    const uint32_t *load = ptee_data_load;
    for (uint32_t *to = ptee_data_start; to < ptee_data_end; to++) {
        *to = *load++;
    }
    for (uint32_t *to = ptee_bss_start; to < ptee_bss_end; to++) {
        *to = 0;
    }
    if (ptee_load_sections != NULL) {
        ptee_load_sections();
    }
    const int code = main();
    if (ptee_stack_bottom[0] != STACK_PAINT) {
        semihost_write0("fault: the stack grew out of its memory\n");
        semihost_exit(PTEE_FAULT_EXIT);
    }
    semihost_exit(code);
}

uint32_t ptee_stack_used_below(uintptr_t from)
{
    const volatile uint32_t *lowest = ptee_stack_bottom;
    while ((uintptr_t)lowest < from && *lowest == STACK_PAINT) {
        lowest++;
    }
    return (uint32_t)(from - (uintptr_t)lowest);
}

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = ptee_stack_top},    {.handler = ptee_reset}, {.handler = ptee_fault}, {.handler = ptee_fault},
    {.handler = ptee_fault},      {.handler = ptee_fault}, {.handler = ptee_fault}, {.handler = ptee_fault},
    {.handler = ptee_fault},      {.handler = ptee_fault}, {.handler = ptee_fault}, {.handler = ptee_fault},
    {.handler = ptee_fault},      {.handler = ptee_fault}, {.handler = ptee_fault}, {.handler = ptee_fault},
};
