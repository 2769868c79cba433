/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU plugin that counts, between marks, what cycles are made of: executions and taken exits per block, and per block
 * and window of addresses the bytes read and written and the cache lines that loads and fetches missed.
 *
 * A block is a run of instructions that is entered at its start and left at its end: a translated block of QEMU, cut
 * where a mark lies. It is left by a taken branch where the next block does not start at its end. Only reads miss:
 * stores are taken to be buffered, written through and to allocate no line. Caches replace the least recently used line
 * of a set, are indexed by the emulated address, and see what is executed between marks only. A block's lines are
 * fetched as it starts.
 *
 *   arguments  config=FILE  as trace_model.c says
 *              out=FILE     little endian u64 after "PTEETRC1"; per interval: kind, blocks, cells,
 *                           per block that ran (number, executions, taken exits), per cell (block, window, bytes read,
 *                           bytes written, lines missed by loads, by fetches); window n of n: none of them.
 *                           At the end: all ones, intervals, blocks, per block start, bytes, code padded to words.
 *                           What was counted but not stopped is an interval of kind all ones - 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu_plugin_api.h"
#include "trace_model.h"

int qemu_plugin_version = 1;

#define UNSTOPPED (UINT64_MAX - 1)
enum { BUCKETS = 1 << 16 };

typedef struct {
    uint64_t read, written, missed_loads, missed_fetches;
} cell;

typedef struct block {
    uint64_t number, start, nbytes;
    uint64_t executed, taken;
    size_t place; /* window of its code */
    const mark *at;
    cell *cells; /* per window, and one for none of them */
    bool *listed;
    uint8_t *code;
    struct block *next; /* of its bucket */
} block;

typedef struct {
    block *owner;
    size_t place;
} cell_name;

static block *buckets[BUCKETS];
static block **blocks, **ran; /* in order of translation; in order of execution in this interval */
static size_t block_count, ran_count, block_room;
static cell_name *used;
static size_t used_count, used_room;

static block *previous;
static bool counting;
static uint64_t intervals;
static FILE *out;

static void put(uint64_t value)
{
    fwrite(&value, sizeof value, 1, out);
}

static cell *cell_of(block *owner, size_t place)
{
    if (owner->cells == NULL) {
        owner->cells = resized(NULL, window_count + 1, sizeof *owner->cells);
        owner->listed = resized(NULL, window_count + 1, sizeof *owner->listed);
        memset(owner->cells, 0, (window_count + 1) * sizeof *owner->cells);
        memset(owner->listed, 0, (window_count + 1) * sizeof *owner->listed);
    }
    if (!owner->listed[place]) {
        if (used_count == used_room) {
            used_room = 2 * used_room + 256;
            used = resized(used, used_room, sizeof *used);
        }
        used[used_count++] = (cell_name){owner, place};
        owner->listed[place] = true;
    }
    return &owner->cells[place];
}

static void end_interval(uint64_t kind)
{
    put(kind);
    put(ran_count);
    put(used_count);
    for (size_t i = 0; i < ran_count; i++) {
        put(ran[i]->number);
        put(ran[i]->executed);
        put(ran[i]->taken);
        ran[i]->executed = ran[i]->taken = 0;
    }
    for (size_t i = 0; i < used_count; i++) {
        cell *const counted = &used[i].owner->cells[used[i].place];
        put(used[i].owner->number);
        put(used[i].place);
        fwrite(counted, sizeof *counted, 1, out);
        *counted = (cell){0};
        used[i].owner->listed[used[i].place] = false;
    }
    ran_count = used_count = 0;
    intervals++;
}

static void finish(void)
{
    if (counting) {
        end_interval(UNSTOPPED);
    }
    put(UINT64_MAX);
    put(intervals);
    put(block_count);
    for (size_t i = 0; i < block_count; i++) {
        static const uint8_t padding[8];
        put(blocks[i]->start);
        put(blocks[i]->nbytes);
        fwrite(blocks[i]->code, 1, blocks[i]->nbytes, out);
        fwrite(padding, 1, (8 - blocks[i]->nbytes % 8) % 8, out);
    }
    fclose(out);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu;
    if (!counting) {
        return;
    }
    const uint64_t nbytes = (uint64_t)1 << qemu_plugin_mem_size_shift(info);
    const size_t place = window_of(address);
    cell *const counted = cell_of(data, place);
    if (qemu_plugin_mem_is_store(info)) {
        counted->written += nbytes;
        return;
    }
    counted->read += nbytes;
    if (place < window_count) {
        counted->missed_loads += misses(&caches[windows[place].loads], address, address + nbytes - 1);
    }
}

/* True where the block that starts here is counted. */
static bool pass(const mark *at)
{
    if (at->stops && counting) {
        counting = false;
        end_interval(at->kind);
        if (intervals == limit) {
            finish();
            _exit(0);
        }
    }
    if (!at->goes || counting) {
        return counting;
    }
    if (at->flushes) {
        flush_caches();
    }
    counting = true;
    previous = NULL;
    return at->inside;
}

static void on_block(unsigned int vcpu, void *data)
{
    block *const now = data;
    (void)vcpu;
    if (counting && previous != NULL && previous->start + previous->nbytes != now->start) {
        previous->taken++;
    }
    if (now->at != NULL ? !pass(now->at) : !counting) {
        return;
    }
    if (now->executed++ == 0) {
        ran[ran_count++] = now;
    }
    if (now->place < window_count) {
        const uint64_t count =
            misses(&caches[windows[now->place].fetches], now->start, now->start + now->nbytes - 1);
        if (count != 0) {
            cell_of(now, now->place)->missed_fetches += count;
        }
    }
    previous = now;
}

/* The block with this code: what QEMU translates again counts on. */
static block *block_of(uint64_t start, const uint8_t *code, size_t nbytes)
{
    block **const bucket = &buckets[(start >> 1) % BUCKETS];
    for (block *known = *bucket; known != NULL; known = known->next) {
        if (known->start == start && known->nbytes == nbytes && memcmp(known->code, code, nbytes) == 0) {
            return known;
        }
    }
    block *const made = resized(NULL, 1, sizeof *made);
    *made = (block){.number = block_count, .start = start, .nbytes = nbytes, .place = window_of(start),
                    .at = mark_at(start), .code = resized(NULL, nbytes, 1), .next = *bucket};
    memcpy(made->code, code, nbytes);
    *bucket = made;
    if (block_count == block_room) {
        block_room = 2 * block_room + 1024;
        blocks = resized(blocks, block_room, sizeof *blocks);
        ran = resized(ran, block_room, sizeof *ran);
    }
    blocks[block_count++] = made;
    return made;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t count = qemu_plugin_tb_n_insns(tb);
    (void)id;
    for (size_t first = 0, end; first < count; first = end) {
        static uint8_t code[8192]; /* QEMU ends a translated block after 512 instructions */
        size_t nbytes = 0;
        for (end = first; end < count; end++) {
            const struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(tb, end);
            const uint64_t address = qemu_plugin_insn_vaddr(insn);
            const uint8_t *const data = qemu_plugin_insn_data(insn);
            /* Not qemu_plugin_insn_size: before the end of a page it counts the halfword that QEMU peeked at. */
            const size_t size = data[1] >> 3 >= 0x1D ? 4 : 2;
            if (end > first && (mark_at(address) != NULL || cut_at(address) || nbytes + size > sizeof code)) {
                break;
            }
            memcpy(code + nbytes, data, size);
            nbytes += size;
        }
        struct qemu_plugin_insn *const entry = qemu_plugin_tb_get_insn(tb, first);
        block *const here = block_of(qemu_plugin_insn_vaddr(entry), code, nbytes);
        qemu_plugin_register_vcpu_insn_exec_cb(entry, on_block, QEMU_PLUGIN_CB_NO_REGS, here);
        for (size_t i = first; i < end; i++) {
            qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_RW, here);
        }
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    finish();
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "config=", 7) == 0 && !read_config(argv[i] + 7)) {
            fprintf(stderr, "trace_plugin: cannot use %s\n", argv[i]);
            return -1;
        }
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "wb");
        }
    }
    if (out == NULL) {
        fprintf(stderr, "trace_plugin: no out=FILE, or it cannot be written\n");
        return -1;
    }
    flush_caches();
    counting = counts_from_start();
    fwrite("PTEETRC1", 8, 1, out);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
