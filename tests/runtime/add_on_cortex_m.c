/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware: the sums of all pairs of codes for every descriptor in cases.h, to the file sums.bin; then what they cost. */
#include "ptee_runtime.h"
#include "semihost.h"

static const ptee_add_t cases[] = {
#include "cases.h"
};

enum { PAIRS = 65536 };
static int8_t a[PAIRS], b[PAIRS], sums[PAIRS];

/* SysTick: control, reload, current value; counts down from 2^24 - 1. */
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010u;

int main(void)
{
    for (uint32_t i = 0; i < PAIRS; i++) {
        a[i] = (int8_t)((i >> 8) - 128);
        b[i] = (int8_t)((i & 255) - 128);
    }
    const int32_t file = semihost_open("sums.bin", SEMIHOST_WRITE);
    if (file < 0) {
        return 1;
    }
    systick[1] = 0xFFFFFF;
    systick[2] = 0;
    systick[0] = 5;
    uint32_t ticks = 0;
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t start = systick[2];
        ptee_add(&cases[i], a, b, sums);
        ticks = (start - systick[2]) & 0xFFFFFF;
        if (semihost_write(file, sums, PAIRS) != 0) {
            return 2;
        }
    }
    return semihost_write(file, &ticks, sizeof ticks) != 0 ? 3 : semihost_close(file);
}
