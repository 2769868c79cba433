/* SPDX-License-Identifier: Apache-2.0 */
/* Ends inferences of the network `switched` in every way there is and compares them: 0 where all answers are one. */
#include <stdio.h>
#include <string.h>

#include "switched.h"

int main(void);

static _Alignas(SWITCHED_ARENA_ALIGN) uint8_t arena[SWITCHED_ARENA_BYTES];
#ifdef SWITCHED_STAGE_BYTES
static _Alignas(SWITCHED_STAGE_ALIGN) uint8_t stage[SWITCHED_STAGE_BYTES];
#define BUFFERS arena, sizeof arena, stage, sizeof stage
#else
#define BUFFERS arena, sizeof arena
#endif
static switched_t net;
static uint32_t moment;

static uint32_t now(void)
{
    return moment += 3;
}

static void give(uint32_t seed)
{
    int8_t *const codes = switched_input(&net);
    for (uint32_t i = 0; i < SWITCHED_INPUT_BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        codes[i] = (int8_t)((int32_t)(seed >> 24) - 128);
    }
}

/* Steps by op `ops` times, by segment `steps` times, then in the way `ending`. */
static ptee_status finish(uint32_t ops, uint32_t steps, uint32_t ending, switched_result *out)
{
    ptee_status status = PTEE_YIELD;
    for (uint32_t i = 0; i < ops && status != PTEE_DONE; i++) {
        status = switched_step_op(&net, out);
    }
    for (uint32_t i = 0; i < steps && status != PTEE_DONE; i++) {
        status = switched_step(&net, out);
    }
    while (status != PTEE_DONE && !ptee_failed(status)) {
        status = ending == 0   ? switched_run(&net, out)
                 : ending == 1 ? switched_run_until(&net, UINT32_MAX, now, out)
                               : switched_step_op(&net, out);
    }
    return status;
}

int main(void)
{
    switched_stats stats;
    switched_result wanted, found;
    int8_t logits[SWITCHED_CLASSES];
    uint32_t wrong = switched_init(&net, BUFFERS) != PTEE_OK || switched_audit_begin(&stats, 40000, 3) != PTEE_OK;
    for (uint32_t seed = 0; seed < 12; seed++) {
        (void)switched_set_operating_point(&net, seed % SWITCHED_OPERATING_POINTS);
        give(seed);
        wrong += switched_run(&net, &wanted) != PTEE_DONE;
        memcpy(logits, wanted.logits, sizeof logits);
        for (uint32_t ops = 0; ops <= SWITCHED_OPS; ops++) {
            for (uint32_t way = 0; way < 6; way++) {
                give(seed);
                wrong += finish(ops, way / 3, way % 3, &found) != PTEE_DONE || found.exit != wanted.exit ||
                         found.label != wanted.label || found.confidence != wanted.confidence ||
                         memcmp(logits, found.logits, sizeof logits) != 0;
                wrong += ptee_failed(switched_audit(&net, &stats)) || switched_best(&net, &found) != PTEE_NO_ANSWER;
            }
        }
        give(seed);
        wrong += switched_measure(&net, now, 20) != PTEE_OK;
    }
    printf("%u\n", (unsigned)wrong);
    return wrong != 0;
}
