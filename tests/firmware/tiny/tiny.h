/* SPDX-License-Identifier: Apache-2.0 */
/* A network of five fully connected layers and two exits, written by hand in the shape of emitted ones. */
#ifndef TINY_H
#define TINY_H

#include "ptee_runtime.h"

#define TINY_ARENA_BYTES 48
#define TINY_ARENA_ALIGN 16
#define TINY_ARENA_SECTION ".bss.ptee.RAM"
#define TINY_INPUT_BYTES 8
#define TINY_CLASSES 3
#define TINY_EXITS 2
#define TINY_OPERATING_POINTS 2

typedef struct {
    int8_t *arena;
    int32_t threshold, point;
    unsigned next;
} tiny_t;

typedef struct {
    const int8_t *logits;
    int32_t confidence;
    uint16_t exit;
    uint16_t label;
    bool fired;
} tiny_result;

ptee_status tiny_init(tiny_t *ctx, void *arena, size_t arena_bytes);
int8_t *tiny_input(tiny_t *ctx);
ptee_status tiny_input_u8(tiny_t *ctx, const uint8_t *pixels);
ptee_status tiny_run(tiny_t *ctx, tiny_result *out);
ptee_status tiny_step(tiny_t *ctx, tiny_result *out);
ptee_status tiny_set_operating_point(tiny_t *ctx, unsigned point);
int32_t tiny_operating_point(const tiny_t *ctx);
ptee_status tiny_set_threshold(tiny_t *ctx, unsigned exit, int32_t threshold);

#endif /* TINY_H */
