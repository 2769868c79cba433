/* SPDX-License-Identifier: Apache-2.0 */
/* Trunk, exit 0 (classifier and confidence), trunk, exit 1; arena: input, features, logits, confidence. */
#include "tiny.h"

#ifndef PTEE_TRACE_OP
#define PTEE_TRACE_OP(index, data, nbytes) ((void)0)
#endif

/* A test that must fail overruns the arena by this much. */
#ifndef TINY_OVERRUN
#define TINY_OVERRUN 0
#endif

enum { INPUT = 0, FEATURES = 16, LOGITS = 32, CONFIDENCE = 40, READY = 0, MIDDLE = 1, ENDED = 2 };

static const int8_t weights[64] = {
    17,  -23, 5,   88,  -101, 64, 3,   -9,  -77, 42,  19, -31, 55,  -6,  127, -127, 1,  -1, 90, 33,  -48, 72,
    -15, 28,  -66, 11,  37,   -84, 99, -20, 14,  -58, 81, -3,  46,  -112, 7,  60,   -39, 25, -93, 104, 2,  -70,
    31,  -17, 58,  -8,  76,   -29, 12, 95,  -61, 40,  -35, 22, -4,  67,  -88, 51,   10,  -44, 83, -26,
};
/* 120, -340, 77, 0, 900, -15, 333, -1000 with input offsets of 3 and 5. */
static const int32_t bias_of_input[8] = {252, -334, 557, -201, 1095, 6, 693, -853};
static const int32_t bias_of_features[8] = {340, -330, 877, -335, 1225, 20, 933, -755};

static ptee_fully_connected_t layer(const int32_t *bias, uint16_t output_features, int8_t shift)
{
    const ptee_fully_connected_t op = {
        .weights = weights,
        .bias = bias,
        .multiplier = 1518500250,
        .input_features = 8,
        .output_features = output_features,
        .shift = shift,
        .output_offset = -5,
        .act_min = -128,
        .act_max = 127,
    };
    return op;
}

static ptee_status connect(const tiny_t *ctx, int8_t shift, int from, int to, uint16_t features, uint32_t index)
{
    const ptee_fully_connected_t op = layer(from == INPUT ? bias_of_input : bias_of_features, features, shift);
    const ptee_status status = ptee_fully_connected(&op, ctx->arena + from, ctx->arena + to);
    (void)index;
    PTEE_TRACE_OP(index, ctx->arena + to, features);
    return status;
}

ptee_status tiny_init(tiny_t *ctx, void *arena, size_t arena_bytes)
{
    if (ctx == NULL || arena == NULL) {
        return PTEE_NULL;
    }
    if (arena_bytes < TINY_ARENA_BYTES) {
        return PTEE_ARENA_TOO_SMALL;
    }
    ctx->arena = arena;
    ctx->threshold = 0;
    ctx->next = ENDED;
    return PTEE_OK;
}

int8_t *tiny_input(tiny_t *ctx)
{
    ctx->next = READY;
    return ctx->arena + INPUT;
}

ptee_status tiny_input_u8(tiny_t *ctx, const uint8_t *pixels)
{
    for (int i = 0; i < TINY_INPUT_BYTES; i++) {
        ctx->arena[INPUT + i] = (int8_t)(pixels[i] - 128);
    }
    ctx->next = READY;
    return PTEE_OK;
}

ptee_status tiny_step(tiny_t *ctx, tiny_result *out)
{
    ptee_status status = PTEE_OK;
    if (ctx->next == ENDED) {
        return PTEE_ENDED;
    }
    if (ctx->next == READY) {
        status = connect(ctx, -8, INPUT, FEATURES, 8, 0);
        status = status ? status : connect(ctx, -8, FEATURES, LOGITS, 3, 1);
        status = status ? status : connect(ctx, -7, FEATURES, CONFIDENCE, 1, 2);
        out->confidence = ctx->arena[CONFIDENCE];
        out->fired = out->confidence >= ctx->threshold;
    } else {
        status = connect(ctx, -8, FEATURES, INPUT, 8, 3);
        status = status ? status : connect(ctx, -8, INPUT, LOGITS, 3, 4);
        out->confidence = 0;
        out->fired = true;
        for (int i = 0; i < TINY_OVERRUN; i++) {
            ctx->arena[TINY_ARENA_BYTES + i] = 1;
        }
    }
    if (ptee_failed(status)) {
        return status;
    }
    out->exit = (uint16_t)ctx->next;
    out->logits = ctx->arena + LOGITS;
    out->label = (uint16_t)ptee_argmax(out->logits, TINY_CLASSES);
    ctx->next = out->fired ? ENDED : MIDDLE;
    return out->fired ? PTEE_DONE : PTEE_CONTINUE;
}

ptee_status tiny_run(tiny_t *ctx, tiny_result *out)
{
    ptee_status status = tiny_step(ctx, out);
    while (status == PTEE_CONTINUE) {
        status = tiny_step(ctx, out);
    }
    return status;
}

ptee_status tiny_set_operating_point(tiny_t *ctx, unsigned point)
{
    static const int16_t thresholds[TINY_OPERATING_POINTS] = {0, 128};
    if (point >= TINY_OPERATING_POINTS) {
        return PTEE_BAD_POINT;
    }
    ctx->threshold = thresholds[point];
    ctx->point = (int32_t)point;
    return PTEE_OK;
}

int32_t tiny_operating_point(const tiny_t *ctx)
{
    return ctx->point;
}

ptee_status tiny_set_threshold(tiny_t *ctx, unsigned exit, int32_t threshold)
{
    if (exit != 0) {
        return PTEE_BAD_EXIT;
    }
    ctx->threshold = threshold;
    return PTEE_OK;
}
