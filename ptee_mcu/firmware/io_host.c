/* SPDX-License-Identifier: Apache-2.0 */
/* Input and output of the harness on a computer. */
#include "harness_io.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_FILES = 8 };

static FILE *files[MAX_FILES];

int32_t ptee_io_open(const char *path, bool write)
{
    for (int32_t i = 0; i < MAX_FILES; i++) {
        if (files[i] == NULL) {
            files[i] = fopen(path, write ? "wb" : "rb");
            if (files[i] != NULL) {
                return i;
            }
            break;
        }
    }
    fprintf(stderr, "harness: cannot open %s\n", path);
    exit(EXIT_FAILURE);
}

bool ptee_io_read(int32_t file, void *data, uint32_t nbytes)
{
    return fread(data, 1, nbytes, files[file]) == nbytes;
}

bool ptee_io_write(int32_t file, const void *data, uint32_t nbytes)
{
    return fwrite(data, 1, nbytes, files[file]) == nbytes;
}

bool ptee_io_close(int32_t file)
{
    FILE *const closing = files[file];
    files[file] = NULL;
    return fclose(closing) == 0;
}

void ptee_io_print(const char *text)
{
    fputs(text, stderr);
}

_Noreturn void ptee_io_exit(int32_t code)
{
    exit(code);
}

uint32_t ptee_io_stack_bytes(void)
{
    return 0;
}

int main(int argc, char **argv)
{
    return ptee_harness((uint32_t)argc, argv);
}
