/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer interrupts inferences of network "net" and calls the library with the context that is in use. Exit code 0:
 * all calls of 200 interrupts were refused, and every inference ended as if there had been none.
 */
#include <string.h>

#include "net.h"

#define SYSTICK ((volatile uint32_t *)0xE000E010u) /* CSR, RVR, CVR; Armv7-M Architecture Reference Manual, B3.3 */
#define VTOR (*(volatile uint32_t *)0xE000ED08u)
#define VECTORS 16
#define SYSTICK_VECTOR 15
#define RUNNING 255u /* what NAME.c keeps in `next` while a call is inside */
#define INTERRUPTS 200u
#define MOST_INFERENCES 100000u

static _Alignas(NET_ARENA_ALIGN) uint8_t arena[NET_ARENA_BYTES];
static _Alignas(256) uint32_t vectors[VECTORS];
static const uint8_t pixels[NET_INPUT_BYTES] = {200, 3, 77};
static net_t net;
static net_stats stats;
static volatile uint32_t refused, accepted;

int main(void);

static uint32_t now(void)
{
    return 0;
}

static void count(ptee_status status)
{
    accepted += status == PTEE_REENTERED ? 0u : 1u;
}

static void interrupt(void)
{
    net_result result;
    if (net.next != RUNNING) {
        return;
    }
    count(net_run(&net, &result));
    count(net_step(&net, &result));
    count(net_step_op(&net, &result));
    count(net_run_until(&net, UINT32_MAX, now, &result));
    count(net_measure(&net, now, 0));
    count(net_audit(&net, &stats));
    count(net_input_u8(&net, pixels));
    count(net_input(&net) == NULL ? PTEE_REENTERED : PTEE_OK);
    refused++;
}

int main(void)
{
    int8_t logits[NET_CLASSES];
    net_result first, result;
    const volatile uint32_t *const before = (const volatile uint32_t *)(uintptr_t)VTOR;
    for (unsigned i = 0; i < VECTORS; i++) {
        vectors[i] = before[i];
    }
    vectors[SYSTICK_VECTOR] = (uint32_t)(uintptr_t)interrupt;
    if (net_init(&net, arena, sizeof arena) != PTEE_OK || net_input_u8(&net, pixels) != PTEE_OK ||
        net_run(&net, &first) != PTEE_DONE) {
        return 1;
    }
    memcpy(logits, first.logits, sizeof logits);
    VTOR = (uint32_t)(uintptr_t)vectors;
    SYSTICK[1] = 9973;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7u; /* at the processor's clock, with interrupts */
    for (uint32_t inferences = 0; refused < INTERRUPTS; inferences++) {
        if (net_input_u8(&net, pixels) != PTEE_OK || net_run(&net, &result) != PTEE_DONE) {
            return 2;
        }
        if (result.exit != first.exit || memcmp(logits, result.logits, sizeof logits) != 0) {
            return 3;
        }
        if (inferences == MOST_INFERENCES) {
            return 4;
        }
    }
    SYSTICK[0] = 0;
    return accepted == 0 ? 0 : 5;
}
