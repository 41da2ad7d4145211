/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timers: what runs later. All that virtxd does by the time begins here, and the time itself is
 * read by monotonic_ms() and now_ms() of proto/util.h alone, so that a test can have a time of its
 * own: it links its own functions of these names.
 */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct timer;

/* A timer that is stopped. base and arg are borrowed. */
struct timer *timer_new(struct event_base *base, void (*fn)(void *arg), void *arg);
/* NULL is fine; so is its own function. */
void timer_free(struct timer *timer);

/* Runs fn once after so many ms (0: when what is due now has run), or each so many ms, the first
 * time at timer_to_beat(); whatever it was started for before is off. */
void timer_start(struct timer *timer, int64_t ms);
void timer_every(struct timer *timer, int64_t ms);
/* The ms to the next multiple of the period since this process began: what can wait until then is
 * done by one wake with all else that is due then. A quarter of the period to five quarters. */
int64_t timer_to_beat(int64_t period);
/* Runs fn in this round of the loop, after what runs now: from a clean stack, without a wait. */
void timer_soon(struct timer *timer);
void timer_stop(struct timer *timer);
/* Whether fn is going to run. */
bool timer_is_started(const struct timer *timer);

#endif
