/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a generated network over a file of inputs and records every evaluated exit and, in a traced build, every op.
 *
 *   harness OPTIONS INPUTS RESULTS TRACE
 *
 * Compiled with PTEE_MODEL_HEADER ("NAME.h"), PTEE_NAME (NAME), PTEE_PREFIX (NAME in capitals), PTEE_TAKES_PIXELS where
 * there is a NAME_input_u8 and PTEE_TAKES_STAGE where there is a NAME_STAGE_BYTES. Its files are sequences of little-endian 32-bit words and bytes;
 * ptee_mcu/firmware/records.py writes and reads them.
 *
 *   OPTIONS  magic, inputs, form of an input (codes, pixels), calls (steps, run), trace (none, heads, outputs),
 *            thresholds, points, then per threshold: exit, value; the points: none for the compiled default, one for
 *            all inputs, or one per input
 *   RESULTS  magic, arena bytes, input bytes, classes, exits, 0; per evaluated exit: input, exit, label, confidence,
 *            fired, ended, logits padded to a multiple of 4; at the end: magic, inputs, stack bytes, 0
 *   TRACE    per op: input, op, bytes, then the bytes of its output (heads: none)
 */
#include <stdalign.h>
#include <string.h>

#include PTEE_MODEL_HEADER
#include "harness_io.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define CLOSE(region) __asan_poison_memory_region((region), sizeof(region))
#define OPEN(region) __asan_unpoison_memory_region((region), sizeof(region))
#else
#define CLOSE(region) ((void)(region))
#define OPEN(region) ((void)(region))
#endif

#define JOIN(a, b) JOIN_TEXT(a, b)
#define JOIN_TEXT(a, b) a##b
#define MODEL(suffix) JOIN(PTEE_NAME, suffix)
#define CONSTANT(suffix) JOIN(PTEE_PREFIX, suffix)

#define ARENA_BYTES CONSTANT(_ARENA_BYTES)
#define ARENA_ALIGN CONSTANT(_ARENA_ALIGN)
#define INPUT_BYTES CONSTANT(_INPUT_BYTES)
#define CLASSES CONSTANT(_CLASSES)
#define EXITS CONSTANT(_EXITS)

enum {
    OPTIONS_MAGIC = 0x4F455450,
    RESULTS_MAGIC = 0x52455450,
    END_MAGIC = 0x45455450,
    GUARD_BYTES = 64,
    GUARD = 0xC3,
    POISON = 0xA5,
    LOGITS_BYTES = (CLASSES + 3) / 4 * 4
};

typedef enum { CODES, PIXELS } input_form;
typedef enum { STEPS, RUN } call_form;
typedef enum { TRACE_NONE, TRACE_HEADS, TRACE_OUTPUTS } trace_form;

typedef struct {
    uint32_t magic, inputs, input, calls, trace, thresholds, points;
} options;

typedef struct {
    uint32_t input, exit;
    int32_t label, confidence;
    uint32_t fired, ended;
    int8_t logits[LOGITS_BYTES];
} exit_record;

PTEE_SECTION(CONSTANT(_ARENA_SECTION)) static struct {
    alignas(ARENA_ALIGN) uint8_t before[GUARD_BYTES];
    alignas(ARENA_ALIGN) uint8_t arena[ARENA_BYTES];
    uint8_t after[GUARD_BYTES];
} memory;
#ifdef PTEE_TAKES_STAGE
PTEE_SECTION(CONSTANT(_STAGE_SECTION)) static struct {
    alignas(CONSTANT(_STAGE_ALIGN)) uint8_t before[GUARD_BYTES];
    alignas(CONSTANT(_STAGE_ALIGN)) uint8_t bytes[CONSTANT(_STAGE_BYTES)];
    uint8_t after[GUARD_BYTES];
} stage;
#define BUFFERS memory.arena, ARENA_BYTES, stage.bytes, CONSTANT(_STAGE_BYTES)
#else
#define BUFFERS memory.arena, ARENA_BYTES
#endif
static MODEL(_t) network;
static uint8_t input_bytes[INPUT_BYTES];
static options chosen;
static uint32_t input_index;
static int32_t results_file, trace_file;

static void print_number(uint32_t value)
{
    char digits[11];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do {
        *--first = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    ptee_io_print(first);
}

static _Noreturn void fail(const char *what)
{
    ptee_io_print("harness: ");
    ptee_io_print(what);
    ptee_io_print(", input ");
    print_number(input_index);
    ptee_io_print("\n");
    ptee_io_exit(1);
}

static void check(ptee_status status)
{
    if (ptee_failed(status)) {
        fail(ptee_status_text(status));
    }
}

static void read_all(int32_t file, void *data, uint32_t nbytes)
{
    if (!ptee_io_read(file, data, nbytes)) {
        fail("a file ended too early");
    }
}

static void write_all(int32_t file, const void *data, uint32_t nbytes)
{
    if (!ptee_io_write(file, data, nbytes)) {
        fail("a file could not be written");
    }
}

static void check_guard(const uint8_t *guard, const char *what)
{
    for (uint32_t i = 0; i < GUARD_BYTES; i++) {
        if (guard[i] != GUARD) {
            fail(what);
        }
    }
}

static void check_guards(void)
{
    OPEN(memory.before);
    OPEN(memory.after);
    check_guard(memory.before, "bytes before the arena were overwritten");
    check_guard(memory.after, "bytes after the arena were overwritten");
    CLOSE(memory.before);
    CLOSE(memory.after);
#ifdef PTEE_TAKES_STAGE
    OPEN(stage.before);
    OPEN(stage.after);
    check_guard(stage.before, "bytes before the stage were overwritten");
    check_guard(stage.after, "bytes after the stage were overwritten");
    CLOSE(stage.before);
    CLOSE(stage.after);
#endif
}

#ifdef PTEE_TRACE_OP
#ifdef __arm__
/* Called by ptee_trace_op in marks.S, which keeps the count clear of it. */
void ptee_record_op(uint32_t index, const int8_t *data, uint32_t nbytes);
#define RECORD_OP ptee_record_op
#else
#define RECORD_OP ptee_trace_op
#endif

void RECORD_OP(uint32_t index, const int8_t *data, uint32_t nbytes)
{
    if (chosen.trace != TRACE_NONE) {
        const uint32_t head[3] = {input_index, index, chosen.trace == TRACE_OUTPUTS ? nbytes : 0};
        write_all(trace_file, head, sizeof head);
        write_all(trace_file, data, head[2]);
    }
}
#endif

static void record_exit(const MODEL(_result) * result, ptee_status status)
{
    /* Not on the stack, where the logits of many classes would pass for the network's own. */
    static exit_record record;
    record.input = input_index;
    record.exit = (uint32_t)result->exit;
    record.label = (int32_t)result->label;
    record.confidence = (int32_t)result->confidence;
    record.fired = result->fired ? 1u : 0u;
    record.ended = status != PTEE_CONTINUE ? 1u : 0u;
    memcpy(record.logits, result->logits, CLASSES);
    write_all(results_file, &record, sizeof record);
}

static void select_point(int32_t options_file)
{
    uint32_t point;
    read_all(options_file, &point, sizeof point);
    check(MODEL(_set_operating_point)(&network, point));
    if (MODEL(_operating_point)(&network) != (int32_t)point) {
        fail("the operating point was not taken");
    }
}

static void start(int32_t options_file)
{
    memset(memory.before, GUARD, GUARD_BYTES);
    memset(memory.after, GUARD, GUARD_BYTES);
    memset(memory.arena, POISON, ARENA_BYTES);
    CLOSE(memory.before);
    CLOSE(memory.after);
#ifdef PTEE_TAKES_STAGE
    memset(stage.before, GUARD, GUARD_BYTES);
    memset(stage.after, GUARD, GUARD_BYTES);
    memset(stage.bytes, POISON, sizeof stage.bytes);
    CLOSE(stage.before);
    CLOSE(stage.after);
#endif
    check(MODEL(_init)(&network, BUFFERS));
    for (uint32_t i = 0; i < chosen.thresholds; i++) {
        struct {
            uint32_t exit;
            int32_t value;
        } threshold;
        read_all(options_file, &threshold, sizeof threshold);
        check(MODEL(_set_threshold)(&network, threshold.exit, threshold.value));
    }
    if (chosen.points == 1) {
        select_point(options_file);
    }
    const uint32_t head[6] = {RESULTS_MAGIC, ARENA_BYTES, INPUT_BYTES, CLASSES, EXITS, 0};
    write_all(results_file, head, sizeof head);
}

static void give_input(void)
{
    if (chosen.input == PIXELS) {
#ifdef PTEE_TAKES_PIXELS
        check(PTEE_COUNTED(MODEL(_input_u8), &network, input_bytes));
        return;
#else
        fail("the network has no preprocessing table for pixels");
#endif
    }
    int8_t *const codes = MODEL(_input)(&network);
    const uintptr_t at = (uintptr_t)codes;
    const uintptr_t arena = (uintptr_t)memory.arena;
    if (at < arena || at + INPUT_BYTES > arena + ARENA_BYTES) {
        fail("the input lies outside the arena");
    }
    memcpy(codes, input_bytes, INPUT_BYTES);
}

static void infer(void)
{
    MODEL(_result) result;
    ptee_status status;
    give_input();
    do {
        status = chosen.calls == RUN ? PTEE_COUNTED(MODEL(_run), &network, &result)
                                     : PTEE_COUNTED(MODEL(_step), &network, &result);
        check(status);
        check_guards();
        record_exit(&result, status);
    } while (status == PTEE_CONTINUE);
}

int ptee_harness(uint32_t count, char *const *words)
{
    if (count != 5) {
        fail("usage: OPTIONS INPUTS RESULTS TRACE");
    }
    const int32_t options_file = ptee_io_open(words[1], false);
    const int32_t inputs_file = ptee_io_open(words[2], false);
    results_file = ptee_io_open(words[3], true);
    trace_file = ptee_io_open(words[4], true);
    read_all(options_file, &chosen, sizeof chosen);
    if (chosen.magic != OPTIONS_MAGIC) {
        fail("the options are not for this harness");
    }
    start(options_file);
    for (; input_index < chosen.inputs; input_index++) {
        read_all(inputs_file, input_bytes, INPUT_BYTES);
        if (chosen.points > 1) {
            select_point(options_file);
        }
        infer();
    }
    const uint32_t end[4] = {END_MAGIC, chosen.inputs, ptee_io_stack_bytes(), 0};
    write_all(results_file, end, sizeof end);
    const bool kept = ptee_io_close(results_file) && ptee_io_close(trace_file);
    if (!kept || !ptee_io_close(options_file) || !ptee_io_close(inputs_file)) {
        fail("a file could not be closed");
    }
    return 0;
}
