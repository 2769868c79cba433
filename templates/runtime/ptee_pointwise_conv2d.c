/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution of 1x1 with stride 1 and no padding through arm_convolve_1x1_s8_fast, which needs no scratch: since 7.0,
 * compiled by armclang, it can use some but goes without where it is given none.
 */
#include "ptee_conv2d.h"

ptee_status ptee_pointwise_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output)
{
    ptee_conv2d_arguments a;
    ptee_conv2d_expand(op, NULL, &a);
    return ptee_from_cmsis_nn(arm_convolve_1x1_s8_fast(&a.context, &a.params, &a.requant, &a.input, input, &a.filter,
                                                       op->weights, &a.bias, op->bias, &a.output, output));
}
