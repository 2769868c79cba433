/* SPDX-License-Identifier: Apache-2.0 */
/* One counted inference of BakeNN's ResNet-8: bakenn_counted INPUT OUTPUT STACK, files of codes and a 32-bit number. */
#include <stdalign.h>
#include <stddef.h>

#include "bknn_resnet8.h"
#include "harness_io.h"

static alignas(BKNN_RESNET8_ARENA_ALIGNMENT) uint8_t arena[BKNN_RESNET8_ARENA_SIZE];
static int8_t input[BKNN_RESNET8_INPUT_SIZE];
static int8_t output[BKNN_RESNET8_OUTPUT_SIZE];

/* The counted call passes two arguments; this hands over three. */
static void infer(void)
{
    bknn_resnet8_infer(arena, input, output);
}

static void write_file(const char *path, const void *data, uint32_t nbytes)
{
    const int32_t file = ptee_io_open(path, true);
    if (!ptee_io_write(file, data, nbytes) || !ptee_io_close(file)) {
        ptee_io_exit(3);
    }
}

int ptee_harness(uint32_t count, char *const *words)
{
    if (count != 4 || !ptee_io_read(ptee_io_open(words[1], false), input, sizeof input)) {
        return 2;
    }
    (void)ptee_counted_call(NULL, NULL, infer);
    const uint32_t stack_bytes = ptee_io_stack_bytes();
    write_file(words[2], output, sizeof output);
    write_file(words[3], &stack_bytes, sizeof stack_bytes);
    return 0;
}
