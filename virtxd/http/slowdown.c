/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/slowdown.h"

#include <string.h>

#include "loop/timer.h"
#include "proto/util.h"
#include "state/address.h"

#define ADDRESSES   256
#define WAITING_MAX 64	  /* more are answered at once: connections are for others, too */
#define FIRST_MS    100	  /* doubled with each ... */
#define WRONG_MAX   6	  /* ... up to this one */
#define FORGET_MS   60000 /* after the last */

/* An address that was wrong. */
struct guesser {
	uint8_t key[ADDRESS_SHARE_SIZE];
	unsigned int wrong; /* 0: the place is free */
	int64_t last;	    /* monotonic ms */
};

struct slowdown {
	struct event_base *base;
	struct guesser guessers[ADDRESSES];
	unsigned int waiting;
};

struct slowdown_wait {
	struct slowdown *slowdown;
	struct timer *timer;
	void (*done)(void *arg);
	void *arg;
};

static const struct guesser *
find(const struct slowdown *slowdown, const uint8_t key[ADDRESS_SHARE_SIZE])
{
	for (size_t i = 0; i < ADDRESSES; i++) {
		const struct guesser *guesser = &slowdown->guessers[i];

		if (guesser->wrong && memcmp(guesser->key, key, sizeof(guesser->key)) == 0 &&
		    monotonic_ms() - guesser->last < FORGET_MS)
			return guesser;
	}
	return NULL;
}

static int64_t
delay(unsigned int wrong)
{
	return (int64_t)FIRST_MS << (wrong < WRONG_MAX ? wrong : WRONG_MAX);
}

int64_t
slowdown_ms(const struct slowdown *slowdown, const char *addr)
{
	uint8_t key[ADDRESS_SHARE_SIZE];
	const struct guesser *guesser;

	address_share(addr, key);
	guesser = find(slowdown, key);
	return delay(guesser ? guesser->wrong : 0);
}

/* In place of the one that was wrong the longest ago. */
static void
note(struct slowdown *slowdown, const char *addr)
{
	struct guesser *place = slowdown->guessers;
	uint8_t key[ADDRESS_SHARE_SIZE];
	const struct guesser *known;

	address_share(addr, key);
	known = find(slowdown, key);
	for (size_t i = 0; i < ADDRESSES; i++) {
		struct guesser *guesser = &slowdown->guessers[i];

		if (guesser == known) {
			place = guesser;
			break;
		}
		if (place->wrong && (!guesser->wrong || guesser->last < place->last))
			place = guesser;
	}
	if (place != known)
		*place = (struct guesser){ 0 };
	memcpy(place->key, key, sizeof(key));
	if (place->wrong < WRONG_MAX)
		place->wrong++;
	place->last = monotonic_ms();
}

static void
wait_free(struct slowdown_wait *wait)
{
	wait->slowdown->waiting--;
	timer_free(wait->timer);
	free(wait);
}

static void
on_due(void *arg)
{
	struct slowdown_wait wait = *(struct slowdown_wait *)arg;

	wait_free(arg);
	wait.done(wait.arg);
}

struct slowdown_wait *
slowdown_wrong(struct slowdown *slowdown, const char *addr, void (*done)(void *arg), void *arg)
{
	int64_t ms = slowdown_ms(slowdown, addr);
	struct slowdown_wait *wait;

	note(slowdown, addr);
	if (slowdown->waiting >= WAITING_MAX)
		return NULL;
	wait = xcalloc(1, sizeof(*wait));
	*wait = (struct slowdown_wait){ slowdown, NULL, done, arg };
	wait->timer = timer_new(slowdown->base, on_due, wait);
	timer_start(wait->timer, ms);
	slowdown->waiting++;
	return wait;
}

void
slowdown_cancel(struct slowdown_wait *wait)
{
	wait_free(wait);
}

struct slowdown *
slowdown_new(struct event_base *base)
{
	struct slowdown *slowdown = xcalloc(1, sizeof(*slowdown));

	slowdown->base = base;
	return slowdown;
}

void
slowdown_free(struct slowdown *slowdown)
{
	free(slowdown);
}
