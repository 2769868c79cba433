/* SPDX-License-Identifier: Apache-2.0 */
/* Prints every 10 ms while a network runs op by op; built with `yield_every_op`. A real loop would control a motor. */
#include <string.h>

#include "network.h" /* which one: see there */
#include "semihost.h"

#define SYSTICK ((volatile uint32_t *)0xE000E010u) /* CSR, RVR, CVR; Armv7-M Architecture Reference Manual, B3.3 */
#define PERIOD (NETWORK_CLOCK_HZ / 100u)           /* timer ticks in 10 ms */

static _Alignas(NETWORK(_ARENA_ALIGN)) uint8_t arena[NETWORK(_ARENA_BYTES)];
static network_t net;

int main(void);

static void print(const char *what, uint32_t value)
{
    char digits[12] = {[10] = '\n'};
    char *first = digits + 10;
    do {
        *--first = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    semihost_write0(what);
    semihost_write0(first);
}

/* Ticks since `before`, which lies less than 10 ms back; the timer counts down. */
static uint32_t since(uint32_t before)
{
    return (before + PERIOD - SYSTICK[2]) % PERIOD;
}

int main(void)
{
    network_result result;
    uint32_t answers = 0, longest_op = 0, longest_rest = 0, looked = PERIOD - 1;
    ptee_status status = network_init(&net, arena, sizeof arena) == PTEE_OK ? PTEE_DONE : PTEE_CORRUPT;
    SYSTICK[1] = PERIOD - 1;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5u; /* at the processor's clock, without interrupts */
    for (uint32_t beats = 0; beats < 50 && !ptee_failed(status);) {
        if (status == PTEE_DONE) {
            memset(network_input(&net), (int)answers++, NETWORK(_INPUT_BYTES));
        }
        longest_rest = since(looked) > longest_rest ? since(looked) : longest_rest;
        const uint32_t before = SYSTICK[2];
        status = network_step_op(&net, &result);
        looked = SYSTICK[2];
        longest_op = since(before) > longest_op ? since(before) : longest_op;
        if ((SYSTICK[0] & 1u << 16) != 0) { /* 10 ms have passed */
            beats++;
            print("late ", PERIOD - 1 - SYSTICK[2]);
        }
    }
    print("answers ", answers - 1);
    print("longest op ", longest_op);
    print("longest rest ", longest_rest);
    return ptee_failed(status) ? 1 : 0;
}
