/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What has happened: kept, and printed where it is to be seen. */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include <stdbool.h>

#include "proto/util.h"

/* Forgets all; loud: each line is printed at once. */
void history_reset(bool loud);
/* A line, with the time; host CLOCK_NOBODY is the world. */
void history_add(int host, const char *fmt, ...) PRINTF(2, 3);
/* What must not be. The first is kept. */
void history_violation(const char *fmt, ...) PRINTF(1, 2);
/* NULL while there is none. */
const char *history_first_violation(void);
/* A number that tells whether two runs were the same. */
uint64_t history_sum(void);

#endif
