/* SPDX-License-Identifier: Apache-2.0 */
/* Which network main.c runs: write your build's NAME for `digits_ee`, and your processor's clock. */
#ifndef NETWORK_H
#define NETWORK_H

#include "digits_ee.h"

#define NETWORK(suffix) DIGITS_EE##suffix
#define network_t digits_ee_t
#define network_result digits_ee_result
#define network_init digits_ee_init
#define network_input digits_ee_input
#define network_step_op digits_ee_step_op

#define NETWORK_CLOCK_HZ 25000000u

#endif /* NETWORK_H */
