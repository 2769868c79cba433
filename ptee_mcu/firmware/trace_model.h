/* SPDX-License-Identifier: Apache-2.0 */
/* What the tracing plugin is told: the caches and windows of a board, and where counting begins and ends. */
#ifndef PTEE_TRACE_MODEL_H
#define PTEE_TRACE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t sets, ways, shift;
    uint64_t *lines; /* per set, the most recently used first */
} cache;

typedef struct {
    uint64_t start, end, loads, fetches;
} window;

typedef struct {
    uint64_t address, kind;
    bool goes, inside, flushes, stops;
} mark;

extern cache *caches;
extern size_t cache_count;
extern window *windows;
extern size_t window_count;
extern uint64_t limit; /* of intervals; 0: none */

/* Reads the config file; false where it cannot be used. */
bool read_config(const char *path);

/* As realloc for an array; ends the process where there is no memory. */
void *resized(void *from, size_t count, size_t size);

void flush_caches(void);

/* Number of lines of `in` from address `first` to `last` that were not there; they are afterwards. */
uint64_t misses(cache *in, uint64_t first, uint64_t last);

/* Number of the window an address lies in; window_count where in none. */
size_t window_of(uint64_t address);

/* The mark at an address, or NULL. */
const mark *mark_at(uint64_t address);
bool cut_at(uint64_t address);

/* True where no mark begins the counting, so that it is on from the start. */
bool counts_from_start(void);

#endif /* PTEE_TRACE_MODEL_H */
