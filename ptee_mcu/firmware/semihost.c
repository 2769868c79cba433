/* SPDX-License-Identifier: Apache-2.0 */
/* Semihosting calls: operation in r0, address of the parameter block in r1, BKPT 0xAB on M-profile. */
#include "semihost.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026
};

static uint32_t call(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void semihost_write0(const char *text)
{
    (void)call(SYS_WRITE0, text);
}

int32_t semihost_open(const char *path, uint32_t mode)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)path, mode, (uint32_t)strlen(path)};
    return (int32_t)call(SYS_OPEN, block);
}

int32_t semihost_close(int32_t handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    return (int32_t)call(SYS_CLOSE, block);
}

uint32_t semihost_read(int32_t handle, void *data, uint32_t nbytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, nbytes};
    return call(SYS_READ, block);
}

uint32_t semihost_write(int32_t handle, const void *data, uint32_t nbytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, nbytes};
    return call(SYS_WRITE, block);
}

int32_t semihost_command_line(char *text, uint32_t nbytes)
{
    uint32_t block[2] = {(uint32_t)(uintptr_t)text, nbytes};
    return (int32_t)call(SYS_GET_CMDLINE, block);
}

_Noreturn void semihost_exit(int32_t code)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, block);
    }
}
