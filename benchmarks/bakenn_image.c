/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest application around BakeNN's ResNet-8, as footprint.c is around ours. */
#include <stdalign.h>

#include "bknn_resnet8.h"

int main(void);

static alignas(BKNN_RESNET8_ARENA_ALIGNMENT) uint8_t arena[BKNN_RESNET8_ARENA_SIZE];
static int8_t input[BKNN_RESNET8_INPUT_SIZE];
static int8_t output[BKNN_RESNET8_OUTPUT_SIZE];

int main(void)
{
    bknn_resnet8_infer(arena, input, output);
    return output[0];
}
