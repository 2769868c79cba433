/* SPDX-License-Identifier: Apache-2.0 */
/* Input and output of the harness on a Cortex-M, through semihosting. */
#include "harness_io.h"

#include "semihost.h"
#include "startup.h"

enum { MAX_WORDS = 8, COMMAND_LINE_BYTES = 512 };

/* marks.S: the stack pointer at the last counted call. */
extern uint32_t ptee_counted_stack;

int main(void);

int32_t ptee_io_open(const char *path, bool write)
{
    const int32_t file = semihost_open(path, write ? SEMIHOST_WRITE : SEMIHOST_READ);
    if (file < 0) {
        semihost_write0("harness: cannot open ");
        semihost_write0(path);
        semihost_write0("\n");
        semihost_exit(1);
    }
    return file;
}

bool ptee_io_read(int32_t file, void *data, uint32_t nbytes)
{
    return semihost_read(file, data, nbytes) == 0;
}

bool ptee_io_write(int32_t file, const void *data, uint32_t nbytes)
{
    return semihost_write(file, data, nbytes) == 0;
}

bool ptee_io_close(int32_t file)
{
    return semihost_close(file) == 0;
}

void ptee_io_print(const char *text)
{
    semihost_write0(text);
}

_Noreturn void ptee_io_exit(int32_t code)
{
    semihost_exit(code);
}

uint32_t ptee_io_stack_bytes(void)
{
    return ptee_stack_used_below(ptee_counted_stack);
}

int main(void)
{
    static char line[COMMAND_LINE_BYTES];
    char *words[MAX_WORDS];
    uint32_t count = 0;
    if (semihost_command_line(line, sizeof line) != 0) {
        semihost_write0("harness: the command line does not fit\n");
        return 1;
    }
    for (char *at = line; *at != '\0' && count < MAX_WORDS;) {
        words[count++] = at;
        while (*at != '\0' && *at != ' ') {
            at++;
        }
        while (*at == ' ') {
            *at++ = '\0';
        }
    }
    return ptee_harness(count, words);
}
