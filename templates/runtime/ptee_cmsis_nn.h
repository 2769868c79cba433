/* SPDX-License-Identifier: Apache-2.0 */
/* What the wrappers of CMSIS-NN functions share; not for applications. */
#ifndef PTEE_CMSIS_NN_H
#define PTEE_CMSIS_NN_H

#include "arm_nnfunctions.h"

#include "ptee_runtime.h"

/* CMSIS-NN reads these tables only but declares them writable; the integer cast is the one place that drops const. */
static inline int32_t *ptee_writable(const int32_t *table)
{
    return (int32_t *)(uintptr_t)table;
}

static inline cmsis_nn_per_channel_quant_params ptee_per_channel(const int32_t *multiplier, const int32_t *shift)
{
    const cmsis_nn_per_channel_quant_params params = {
        .multiplier = ptee_writable(multiplier),
        .shift = ptee_writable(shift),
    };
    return params;
}

static inline cmsis_nn_context ptee_context(void *scratch, uint32_t scratch_bytes)
{
    const cmsis_nn_context context = {.buf = scratch, .size = (int32_t)scratch_bytes};
    return context;
}

static inline ptee_status ptee_from_cmsis_nn(arm_cmsis_nn_status status)
{
    return status == ARM_CMSIS_NN_SUCCESS ? PTEE_OK : PTEE_KERNEL;
}

#endif /* PTEE_CMSIS_NN_H */
