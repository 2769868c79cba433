/* SPDX-License-Identifier: Apache-2.0 */
/* What the harness needs from where it runs: files, a console, an end; io_host.c and io_semihost.c give it. */
#ifndef PTEE_HARNESS_IO_H
#define PTEE_HARNESS_IO_H

#include <stdbool.h>
#include <stdint.h>

/* A handle for reading or writing; ends the program where the file cannot be opened. */
int32_t ptee_io_open(const char *path, bool write);

/* False where fewer than `nbytes` could be read. */
bool ptee_io_read(int32_t file, void *data, uint32_t nbytes);

/* False where fewer than `nbytes` could be written. */
bool ptee_io_write(int32_t file, const void *data, uint32_t nbytes);

/* False where what was written could not be kept. */
bool ptee_io_close(int32_t file);

void ptee_io_print(const char *text);

_Noreturn void ptee_io_exit(int32_t code);

/* Bytes of stack that counted calls used; 0 where the stack is not painted. */
uint32_t ptee_io_stack_bytes(void);

/* The harness itself: words[0] is the program. */
int ptee_harness(uint32_t count, char *const *words);

/* function(context, argument) -> ptee_status, between the marks that the counting plugin knows. */
#ifdef __arm__
uint32_t ptee_counted_call(void *context, const void *argument, void (*function)(void));
#define PTEE_COUNTED(function, context, argument) \
    ((ptee_status)ptee_counted_call((context), (argument), (void (*)(void))(function)))
#else
#define PTEE_COUNTED(function, context, argument) ((function)((context), (argument)))
#endif

#endif /* PTEE_HARNESS_IO_H */
