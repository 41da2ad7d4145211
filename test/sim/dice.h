/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that is left to chance, from one seed. */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

void dice_seed(uint64_t seed);
/* 0..n-1 */
int64_t dice_below(int64_t n);
/* Both ends are possible. */
int64_t dice_between(int64_t low, int64_t high);
/* Whether what comes so often of a thousand comes now. */
bool dice_permille(int permille);

#endif
