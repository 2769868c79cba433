/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flips bits under network "residual": in its constants, which NAME_check must find, then in context, arena and stage,
 * after which nothing but those may be written. File "spots": pairs of 32-bit words, address and bytes of constants;
 * file "found": per pair, bits flipped and flips found; at the end, inferences that ended and those that were refused.
 * PTEE_STEP is NAME_step or NAME_step_op, PTEE_STEPS how often an inference calls it.
 */
#include <string.h>

#include "residual.h"

#include "semihost.h"

enum { CANARY = 4096, FILL = 0xC3, BITS = 10, INFERENCES = 400, STEPS = PTEE_STEPS };

static struct {
    uint8_t before[CANARY];
    residual_t network;
    uint8_t middle[CANARY];
    residual_stats stats;
    uint8_t beside[CANARY];
    _Alignas(RESIDUAL_ARENA_ALIGN) uint8_t arena[RESIDUAL_ARENA_BYTES];
    uint8_t after[CANARY];
} memory;
PTEE_SECTION(RESIDUAL_STAGE_SECTION) static struct {
    uint8_t before[CANARY];
    _Alignas(RESIDUAL_STAGE_ALIGN) uint8_t bytes[RESIDUAL_STAGE_BYTES];
    uint8_t after[CANARY];
} stage;
static uint32_t state = 2463534242u;

int main(void);

/* Source: Marsaglia, Xorshift RNGs, 2003: 13, 17, 5. */
static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

static void flip(uintptr_t address, uint32_t bit)
{
    volatile uint8_t *const at = (volatile uint8_t *)(address + bit / 8u);
    *at = (uint8_t)(*at ^ (1u << bit % 8u));
}

static bool whole(const uint8_t *canary)
{
    for (uint32_t i = 0; i < CANARY; i++) {
        if (canary[i] != FILL) {
            return false;
        }
    }
    return true;
}

static bool all_whole(void)
{
    return whole(memory.before) && whole(memory.middle) && whole(memory.beside) && whole(memory.after) && whole(stage.before) &&
           whole(stage.after);
}

static ptee_status init(void)
{
    return residual_init(&memory.network, memory.arena, sizeof memory.arena, stage.bytes, sizeof stage.bytes);
}

static bool flip_constants(int32_t spots, int32_t found)
{
    uint32_t spot[2];
    if (init() != PTEE_OK || residual_check(&memory.network) != PTEE_OK) {
        return false;
    }
    while (semihost_read(spots, spot, sizeof spot) == 0) {
        uint32_t counts[2] = {0, 0};
        for (uint32_t i = 0; i < BITS; i++) {
            /* The first, the last, then any. */
            const uint32_t bit = i == 0 ? 0 : i == 1 ? 8 * spot[1] - 1 : random_below(8 * spot[1]);
            flip(spot[0], bit);
            counts[0]++;
            counts[1] += residual_check(&memory.network) == PTEE_CORRUPT && (i != 0 || init() == PTEE_CORRUPT);
            flip(spot[0], bit);
            if (i == 0 && init() != PTEE_OK) {
                return false;
            }
        }
        if (semihost_write(found, counts, sizeof counts) != 0) {
            return false;
        }
    }
    return init() == PTEE_OK;
}

static void flip_context(void)
{
    flip((uintptr_t)&memory.network, random_below(8 * sizeof memory.network));
}

/* One bit, two in three times of the context. */
static void flip_something(void)
{
    const uint32_t what = random_below(6);
    if (what == 0) {
        flip((uintptr_t)memory.arena, random_below(8 * sizeof memory.arena));
    } else if (what == 1) {
        flip((uintptr_t)stage.bytes, random_below(8 * sizeof stage.bytes));
    } else {
        flip_context();
    }
}

static bool in_arena(const void *at)
{
    const uintptr_t arena = (uintptr_t)memory.arena;
    return (uintptr_t)at >= arena && (uintptr_t)at < arena + sizeof memory.arena;
}

static void give_input(void)
{
    int8_t *const input = residual_input(&memory.network);
    if (input != NULL) {
        for (uint32_t i = 0; i < RESIDUAL_INPUT_BYTES; i++) {
            input[i] = (int8_t)(random_below(256) - 128u);
        }
    }
}

/* True where the inference ended with a result; `*outside`: what it wrote or answered lies outside. */
static bool infer(bool *outside)
{
    const uint32_t when = random_below(STEPS + 1);
    ptee_status status = PTEE_CONTINUE;
    *outside = init() != PTEE_OK;
    for (uint32_t exit = 0; exit + 1 < RESIDUAL_EXITS; exit++) {
        *outside |= residual_set_threshold(&memory.network, exit, 128) != PTEE_OK;
    }
    if (when == STEPS) {
        flip_something();
    }
    give_input();
    for (uint32_t step = 0; step <= STEPS && (status == PTEE_CONTINUE || status == PTEE_YIELD); step++) {
        residual_result result;
        if (step == when) {
            flip_something();
        }
        status = PTEE_STEP(&memory.network, &result);
        *outside |= !ptee_failed(status) && status != PTEE_YIELD && !(in_arena(result.logits) && result.exit < RESIDUAL_EXITS);
    }
    /* Every answer is audited, with another bit of the context flipped. */
    *outside |= residual_audit_begin(&memory.stats, 65536, 1 + when) != PTEE_OK;
    flip_context();
    (void)residual_audit(&memory.network, &memory.stats);
    return status == PTEE_DONE;
}

int main(void)
{
    const int32_t spots = semihost_open("spots", SEMIHOST_READ);
    const int32_t found = semihost_open("found", SEMIHOST_WRITE);
    uint32_t ended[2] = {0, 0};
    memset(memory.before, FILL, CANARY);
    memset(memory.middle, FILL, CANARY);
    memset(memory.beside, FILL, CANARY);
    memset(memory.after, FILL, CANARY);
    memset(stage.before, FILL, CANARY);
    memset(stage.after, FILL, CANARY);
    if (!flip_constants(spots, found)) {
        return 1;
    }
    for (uint32_t i = 0; i < INFERENCES; i++) {
        bool outside;
        ended[infer(&outside) ? 0 : 1]++;
        if (outside || !all_whole()) {
            return 2;
        }
    }
    return semihost_write(found, ended, sizeof ended) == 0 && semihost_close(found) == 0 ? 0 : 3;
}
