/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum pooling through arm_max_pool_s8. */
#include "ptee_pool2d.h"

ptee_status ptee_max_pool2d(const ptee_pool2d_t *op, const int8_t *input, int8_t *output, void *scratch)
{
    ptee_pool2d_arguments a;
    ptee_pool2d_expand(op, scratch, &a);
    return ptee_from_cmsis_nn(
        arm_max_pool_s8(&a.context, &a.params, &a.input, input, &a.filter, &a.output, output));
}
