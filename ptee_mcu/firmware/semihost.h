/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm semihosting: console, files, command line and exit code of the machine that runs the emulator or debugger.
 *
 * Source: Arm, "Semihosting for AArch32 and AArch64", release 2.0: operation numbers and parameter blocks.
 */
#ifndef PTEE_SEMIHOST_H
#define PTEE_SEMIHOST_H

#include <stddef.h>
#include <stdint.h>

#define SEMIHOST_READ 1u  /* fopen mode "rb" */
#define SEMIHOST_WRITE 5u /* fopen mode "wb" */

/* Prints a C string on the host's console. */
void semihost_write0(const char *text);

/* A handle, or -1. */
int32_t semihost_open(const char *path, uint32_t mode);

/* 0, or -1. */
int32_t semihost_close(int32_t handle);

/* How many of `nbytes` were NOT read: 0 is complete. */
uint32_t semihost_read(int32_t handle, void *data, uint32_t nbytes);

/* How many of `nbytes` were NOT written: 0 is complete. */
uint32_t semihost_write(int32_t handle, const void *data, uint32_t nbytes);

/* Copies the command line, program name first, words separated by spaces; 0, or -1 where it does not fit. */
int32_t semihost_command_line(char *text, uint32_t nbytes);

/* Ends the emulator with this exit code. */
_Noreturn void semihost_exit(int32_t code);

#endif /* PTEE_SEMIHOST_H */
