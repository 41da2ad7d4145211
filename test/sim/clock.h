/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The time of the simulation. It takes the place of loop/timer.c and of the system's clocks: time
 * passes only from one timer to the next, and timers of the same ms run in the order in which they
 * were started. Each timer belongs to the host that made it, or to nobody.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "loop/timer.h"

#define CLOCK_NOBODY (-1) /* the world, and not a host */
#define CLOCK_HOSTS  8

/* Time begins anew. */
void clock_reset(void);
/* Runs the timer that is due next; false where none is, or none until then (ms). */
bool clock_run_next(int64_t until);
/* Runs all that is left, after which nothing begins that asks clock_is_ending(): what is under way
 * is freed by that. */
void clock_end(void);
bool clock_is_ending(void);
/* ms since the begin. */
int64_t clock_now(void);
/* Whose code runs. clock_enter returns who it was before. */
int clock_host(void);
int clock_enter(int host);
/* Nothing of the host runs for so long; what is due meanwhile runs then. */
void clock_freeze(int host, int64_t ms);
bool clock_is_frozen(int host);
/* How wrong the host's wall clock is: ms, and parts in a million that it goes faster. */
void clock_set_error(int host, int64_t ms, int ppm);
/* The wall clock of a host, ms since the epoch. */
int64_t clock_wall(int host);
/* Runs fn after so many ms, as the world; a timer that frees itself. */
void clock_after(int64_t ms, void (*fn)(void *arg), void *arg);

#endif
