/* SPDX-License-Identifier: Apache-2.0 */
/* A DMA controller that is as late as it may be: a copy lands when it is waited for, its destination is poison before. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ptee_runtime.h"

enum { MOST = 64 };

typedef struct {
    void *to;
    const void *from;
    size_t nbytes;
} copy;

static copy pending[MOST];
static uint32_t pendings;
static char kinds[1024];
static const void *places[1024];
static uint32_t events;

static void note(char kind, const void *to)
{
    kinds[events] = kind;
    places[events++] = to;
}

static uint32_t find(const void *to)
{
    uint32_t i = 0;
    while (i < pendings && pending[i].to != to) {
        i++;
    }
    return i;
}

static void drop(uint32_t i)
{
    pending[i] = pending[--pendings];
}

void ptee_copy_begin(void *to, const void *from, size_t nbytes)
{
    const uint32_t i = find(to);
    if (from == NULL) {
        note(i < pendings ? 'a' : '?', to);
        if (i < pendings) {
            drop(i);
        }
        return;
    }
    note(i < pendings ? '?' : 'b', to);
    memset(to, 0x5A, nbytes);
    pending[pendings++] = (copy){to, from, nbytes};
}

void ptee_copy_wait(void *to, const void *from, size_t nbytes)
{
    const uint32_t i = find(to);
    if (i == pendings || pending[i].from != from || pending[i].nbytes != nbytes) {
        note('?', to);
        return;
    }
    note('w', to);
    memcpy(to, from, nbytes);
    drop(i);
}

/* Lets every copy land that is still under way, and says how many there were. */
uint32_t dma_late(void)
{
    const uint32_t late = pendings;
    for (uint32_t i = 0; i < pendings; i++) {
        memcpy(pending[i].to, pending[i].from, pending[i].nbytes);
    }
    pendings = 0;
    return late;
}

/* What happened since the last call: b begun, w waited for, a abandoned, ? against the rules; and where to. */
uint32_t dma_events(char *kinds_out, uint64_t *places_out)
{
    const uint32_t count = events;
    for (uint32_t i = 0; i < count; i++) {
        kinds_out[i] = kinds[i];
        places_out[i] = (uint64_t)(uintptr_t)places[i];
    }
    events = 0;
    return count;
}
