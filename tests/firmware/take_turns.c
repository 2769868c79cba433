/* SPDX-License-Identifier: Apache-2.0 */
/* Two contexts of network "residual", each with an arena and a stage, step by turns; their logits go to a file. */
#include <string.h>

#include "residual.h"

#include "inputs.h"
#include "semihost.h"

int main(void);

static _Alignas(RESIDUAL_ARENA_ALIGN) uint8_t arenas[2][(RESIDUAL_ARENA_BYTES + 15) / 16 * 16];
PTEE_SECTION(RESIDUAL_STAGE_SECTION)
static _Alignas(RESIDUAL_STAGE_ALIGN) uint8_t stages[2][RESIDUAL_STAGE_BYTES];
static residual_t networks[2];

int main(void)
{
    static const unsigned turns[] = {0, 1, 1, 0, 0, 1};
    const int32_t file = semihost_open("logits", SEMIHOST_WRITE);
    for (unsigned i = 0; i < 2; i++) {
        if (residual_init(&networks[i], arenas[i], sizeof arenas[i], stages[i], sizeof stages[i]) != PTEE_OK ||
            residual_set_threshold(&networks[i], 0, 128) != PTEE_OK ||
            residual_set_threshold(&networks[i], 1, 128) != PTEE_OK) {
            return 1;
        }
        memcpy(residual_input(&networks[i]), inputs[i], RESIDUAL_INPUT_BYTES);
    }
    for (unsigned turn = 0; turn < sizeof turns / sizeof turns[0]; turn++) {
        residual_result result;
        const ptee_status status = residual_step(&networks[turns[turn]], &result);
        if (ptee_failed(status)) {
            return 2;
        }
        if (status == PTEE_DONE && semihost_write(file, result.logits, RESIDUAL_CLASSES) != 0) {
            return 3;
        }
    }
    return semihost_close(file) == 0 ? 0 : 4;
}
