/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Caches, windows and marks of the tracing plugin, from its config file: one item a line, numbers in hex.
 *
 *   cache SETS WAYS LINE_SHIFT        sets: a power of two; lines leave a set least recently used first
 *   window START END LOADS FETCHES    sorted, disjoint; numbers of the caches in front of it
 *   go ADDRESS INSIDE FLUSH           counting begins, with this block where INSIDE, with empty caches where FLUSH;
 *                                     nothing happens where it is on already
 *   stop ADDRESS KIND                 an interval ends before this block
 *   limit STOPS                       the run ends at this many intervals
 *   cut ADDRESS                       sorted; a block ends here, as at a mark
 */
#include "trace_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cache *caches;
size_t cache_count;
window *windows;
size_t window_count;
uint64_t limit;

static mark *marks;
static size_t mark_count;
static uint64_t *cuts;
static size_t cut_count;

void *resized(void *from, size_t count, size_t size)
{
    void *const to = realloc(from, count * size);
    if (to == NULL) {
        fprintf(stderr, "trace_plugin: out of memory\n");
        abort();
    }
    return to;
}

static bool missed(cache *in, uint64_t line)
{
    uint64_t *const set = in->lines + (line & (in->sets - 1)) * in->ways;
    if (set[0] == line) {
        return false;
    }
    size_t at = 1;
    while (at < in->ways && set[at] != line) {
        at++;
    }
    const bool absent = at == in->ways;
    memmove(set + 1, set, (absent ? at - 1 : at) * sizeof *set);
    set[0] = line;
    return absent;
}

uint64_t misses(cache *in, uint64_t first, uint64_t last)
{
    uint64_t count = 0;
    for (uint64_t line = first >> in->shift; line <= last >> in->shift; line++) {
        count += missed(in, line);
    }
    return count;
}

void flush_caches(void)
{
    for (size_t i = 0; i < cache_count; i++) {
        memset(caches[i].lines, 0xFF, caches[i].sets * caches[i].ways * sizeof *caches[i].lines);
    }
}

size_t window_of(uint64_t address)
{
    static size_t recent;
    if (recent < window_count && windows[recent].start <= address && address < windows[recent].end) {
        return recent;
    }
    size_t low = 0, high = window_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (windows[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == window_count || windows[low].start > address) {
        return window_count;
    }
    recent = low;
    return low;
}

const mark *mark_at(uint64_t address)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (marks[i].address == address) {
            return &marks[i];
        }
    }
    return NULL;
}

bool cut_at(uint64_t address)
{
    size_t low = 0, high = cut_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (cuts[middle] < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < cut_count && cuts[low] == address;
}

bool counts_from_start(void)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (marks[i].goes) {
            return false;
        }
    }
    return true;
}

/* The marks of one address are one: it may end an interval and begin the next. */
static mark *mark_for(uint64_t address)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (marks[i].address == address) {
            return &marks[i];
        }
    }
    marks = resized(marks, mark_count + 1, sizeof *marks);
    marks[mark_count] = (mark){.address = address};
    return &marks[mark_count++];
}

static bool read_item(const char *word, const uint64_t *n, int count)
{
    if (strcmp(word, "cache") == 0 && count == 3) {
        uint64_t *const lines = resized(NULL, n[0] * n[1], sizeof *lines);
        caches = resized(caches, cache_count + 1, sizeof *caches);
        caches[cache_count++] = (cache){.sets = n[0], .ways = n[1], .shift = n[2], .lines = lines};
    } else if (strcmp(word, "window") == 0 && count == 4 && n[2] < cache_count && n[3] < cache_count) {
        windows = resized(windows, window_count + 1, sizeof *windows);
        windows[window_count++] = (window){n[0], n[1], n[2], n[3]};
    } else if (strcmp(word, "go") == 0 && count == 3) {
        mark *const at = mark_for(n[0]);
        at->goes = true;
        at->inside = n[1] != 0;
        at->flushes = n[2] != 0;
    } else if (strcmp(word, "stop") == 0 && count == 2) {
        mark *const at = mark_for(n[0]);
        at->stops = true;
        at->kind = n[1];
    } else if (strcmp(word, "limit") == 0 && count == 1) {
        limit = n[0];
    } else if (strcmp(word, "cut") == 0 && count == 1) {
        cuts = resized(cuts, cut_count + 1, sizeof *cuts);
        cuts[cut_count++] = n[0];
    } else {
        return false;
    }
    return true;
}

bool read_config(const char *path)
{
    FILE *const file = fopen(path, "r");
    char line[160];
    bool whole = file != NULL;
    while (whole && fgets(line, sizeof line, file) != NULL) {
        char word[16];
        unsigned long long a, b, c, d;
        const int count = sscanf(line, "%15s %llx %llx %llx %llx", word, &a, &b, &c, &d) - 1;
        const uint64_t numbers[4] = {count > 0 ? a : 0, count > 1 ? b : 0, count > 2 ? c : 0, count > 3 ? d : 0};
        whole = read_item(word, numbers, count);
    }
    if (file != NULL) {
        fclose(file);
    }
    return whole;
}

