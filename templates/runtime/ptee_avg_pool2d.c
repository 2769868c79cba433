/* SPDX-License-Identifier: Apache-2.0 */
/* Average pooling through arm_avgpool_s8. */
#include "ptee_pool2d.h"

ptee_status ptee_avg_pool2d(const ptee_pool2d_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    ptee_pool2d_arguments a;
    ptee_pool2d_expand(op, scratch, &a);
    return ptee_from_cmsis_nn(arm_avgpool_s8(&a.context, &a.params, &a.input, input, &a.filter, &a.output, output));
}

int32_t ptee_avg_pool2d_scratch_bytes(const ptee_pool2d_t *op)
{
    return arm_avgpool_s8_get_buffer_size(op->output_w, op->channels);
}
