/* SPDX-License-Identifier: Apache-2.0 */
/* Images of constants into a stage, through ptee_copy_begin and ptee_copy_wait. */
#include "ptee_runtime.h"

void ptee_stage_begin(ptee_stage_t *stage, const ptee_image_t *image)
{
    for (uint32_t i = 0; i < image->count; i++) {
        const ptee_copy_t *const copy = &image->copies[i];
        ptee_copy_begin(stage->bytes + copy->offset, copy->bytes, copy->nbytes);
    }
    stage->begun = image;
}

void ptee_stage_wait(ptee_stage_t *stage, const ptee_image_t *image)
{
    if (stage->begun != image) {
        ptee_stage_begin(stage, image);
    }
    for (uint32_t i = 0; i < image->count; i++) {
        const ptee_copy_t *const copy = &image->copies[i];
        ptee_copy_wait(stage->bytes + copy->offset, copy->bytes, copy->nbytes);
    }
    stage->begun = NULL;
}

void ptee_stage_abandon(ptee_stage_t *stage)
{
    if (stage->begun != NULL) {
        for (uint32_t i = 0; i < stage->begun->count; i++) {
            const ptee_copy_t *const copy = &stage->begun->copies[i];
            ptee_copy_begin(stage->bytes + copy->offset, NULL, copy->nbytes);
        }
        stage->begun = NULL;
    }
}
