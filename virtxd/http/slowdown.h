/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whoever guesses waits for the answer, the longer the more it was wrong, and has few tries under
 * way. One stays under way until it would have been answered, whether somebody waits for that or
 * not: what is right is answered at once, so that who has waited a little knows enough.
 */
#ifndef HTTP_SLOWDOWN_H
#define HTTP_SLOWDOWN_H

#include <stdint.h>

struct event_base;
struct slowdown;
struct slowdown_wait;

/* At most so many wait for their answers at one time: connections are for others, too. */
struct slowdown *slowdown_new(struct event_base *base, unsigned int waiting_max);
/* When nothing waits any more. */
void slowdown_free(struct slowdown *slowdown);

/* In how many seconds another try from this address may be looked at; 0 for now. */
int slowdown_busy_s(const struct slowdown *slowdown, const char *addr);
/*
 * One from this address was wrong. Calls done(arg) when it may be told so, never before this
 * returns; NULL where so many wait that it has to be told now.
 */
struct slowdown_wait *slowdown_wrong(
    struct slowdown *slowdown, const char *addr, void (*done)(void *arg), void *arg);
/* Nobody is to be told any more. Not after done. */
void slowdown_cancel(struct slowdown_wait *wait);

/* For how long one that is wrong now would wait, ms. */
int64_t slowdown_ms(const struct slowdown *slowdown, const char *addr);

#endif
