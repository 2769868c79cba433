/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU plugin that counts executed guest instructions between marks, exactly, in total and per function.
 *
 * Every translated block adds the number of its instructions to a counter as it starts. A block runs to its end unless
 * an exception interrupts it, and firmware under test enables no interrupts. Blocks that start at a mark add nothing.
 *
 *   arguments  symbols=FILE  lines "function START BYTES" sorted by START, "go ADDRESS", "stop ADDRESS KIND"; in hex
 *              out=FILE      little endian: "PTEECNT1", functions u64; per stop: kind u64, instructions u64;
 *                            at the end: all ones u64, events u64, misplaced marks u64, per function instructions u64
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin_api.h"

int qemu_plugin_version = 1;

typedef struct {
    uint64_t start, nbytes;
} function;

typedef struct {
    uint64_t address, kind;
    bool stops;
} mark;

enum { MAX_MARKS = 16 };

static function *functions;
static size_t function_count;
static mark marks[MAX_MARKS];
static size_t mark_count;

/* Slot function_count holds what lies in no known function. */
static uint64_t *executing, *at_go, *counted;
static bool counting;
static uint64_t events, misplaced;
static FILE *out;

static void put(uint64_t value)
{
    fwrite(&value, sizeof value, 1, out);
}

static size_t slot_of(uint64_t address)
{
    size_t low = 0, high = function_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (functions[middle].start + functions[middle].nbytes <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < function_count && functions[low].start <= address ? low : function_count;
}

static void on_mark(unsigned int vcpu, void *data)
{
    const mark *at = data;
    (void)vcpu;
    if (!at->stops) {
        memcpy(at_go, executing, (function_count + 1) * sizeof *executing);
        counting = true;
        return;
    }
    uint64_t instructions = 0;
    for (size_t i = 0; counting && i <= function_count; i++) {
        const uint64_t more = executing[i] - at_go[i];
        counted[i] += more;
        instructions += more;
    }
    counting = false;
    events++;
    put(at->kind);
    put(instructions);
}

static mark *mark_at(uint64_t address)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (marks[i].address == address) {
            return &marks[i];
        }
    }
    return NULL;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t count = qemu_plugin_tb_n_insns(tb);
    (void)id;
    mark *const first = mark_at(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)));
    if (first != NULL) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, on_mark, QEMU_PLUGIN_CB_NO_REGS, first);
    }
    size_t run = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i));
        misplaced += i > 0 && mark_at(address) != NULL;
        const size_t slot = slot_of(address);
        run++;
        const bool last =
            i + 1 == count || slot_of(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i + 1))) != slot;
        if (last && first == NULL) {
            qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &executing[slot], run);
            run = 0;
        }
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    put(UINT64_MAX);
    put(events);
    put(misplaced);
    for (size_t i = 0; i <= function_count; i++) {
        put(counted[i]);
    }
    fclose(out);
}

static bool read_symbols(const char *path)
{
    FILE *const file = fopen(path, "r");
    char word[16];
    unsigned long long a, b;
    size_t room = 0;
    if (file == NULL) {
        return false;
    }
    while (fscanf(file, "%15s %llx", word, &a) == 2) {
        if (strcmp(word, "function") == 0 && fscanf(file, "%llx", &b) == 1) {
            if (function_count == room) {
                room = 2 * room + 64;
                function *const more = realloc(functions, room * sizeof *functions);
                if (more == NULL) {
                    break;
                }
                functions = more;
            }
            functions[function_count].start = a;
            functions[function_count++].nbytes = b;
        } else if (strcmp(word, "go") == 0 && mark_count < MAX_MARKS) {
            marks[mark_count++] = (mark){.address = a, .stops = false};
        } else if (strcmp(word, "stop") == 0 && mark_count < MAX_MARKS && fscanf(file, "%llx", &b) == 1) {
            marks[mark_count++] = (mark){.address = a, .kind = b, .stops = true};
        } else {
            break;
        }
    }
    const bool whole = feof(file) != 0;
    fclose(file);
    return whole;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "symbols=", 8) == 0 && !read_symbols(argv[i] + 8)) {
            fprintf(stderr, "count_plugin: cannot use %s\n", argv[i]);
            return -1;
        }
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "wb");
        }
    }
    executing = calloc(function_count + 1, sizeof *executing);
    at_go = calloc(function_count + 1, sizeof *at_go);
    counted = calloc(function_count + 1, sizeof *counted);
    if (out == NULL || executing == NULL || at_go == NULL || counted == NULL) {
        fprintf(stderr, "count_plugin: no out=FILE, or it cannot be written\n");
        return -1;
    }
    fwrite("PTEECNT1", 8, 1, out);
    put(function_count);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
