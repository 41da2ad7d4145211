/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/slowdown.h"

#include <string.h>

#include "loop/timer.h"
#include "proto/util.h"
#include "state/address.h"

#define ADDRESSES 256
#define TRIES	  4	/* of an address at one time */
#define FIRST_MS  100	/* doubled with each ... */
#define WRONG_MAX 6	/* ... up to this one */
#define FORGET_MS 60000 /* after the last */

/* An address that was wrong. */
struct guesser {
	uint8_t key[ADDRESS_SHARE_SIZE];
	unsigned int wrong; /* 0: the place is free */
	int64_t last;	    /* monotonic ms */
	int64_t due[TRIES]; /* likewise: what was tried counts as under way until then */
};

struct slowdown {
	struct event_base *base;
	struct guesser guessers[ADDRESSES];
	unsigned int waiting, waiting_max;
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

/* When the address may try again. */
static int64_t *
first_due(struct guesser *guesser)
{
	int64_t *first = guesser->due;

	for (size_t i = 1; i < TRIES; i++) {
		if (guesser->due[i] < *first)
			first = &guesser->due[i];
	}
	return first;
}

int
slowdown_busy_s(const struct slowdown *slowdown, const char *addr)
{
	uint8_t key[ADDRESS_SHARE_SIZE];
	const struct guesser *guesser;
	struct guesser copy;
	int64_t ms;

	address_share(addr, key);
	guesser = find(slowdown, key);
	if (!guesser)
		return 0;
	copy = *guesser;
	ms = *first_due(&copy) - monotonic_ms();
	return ms > 0 ? (int)((ms + 999) / 1000) : 0;
}

/* How little is lost with what is known of it: the less it was wrong, and the longer ago. */
static bool
is_less(const struct guesser *a, const struct guesser *b)
{
	bool a_old = monotonic_ms() - a->last >= FORGET_MS;
	bool b_old = monotonic_ms() - b->last >= FORGET_MS;
	unsigned int a_wrong = a_old ? 0 : a->wrong, b_wrong = b_old ? 0 : b->wrong;

	return a_wrong < b_wrong || (a_wrong == b_wrong && a->last < b->last);
}

/* What is told at the time due. */
static void
note(struct slowdown *slowdown, const char *addr, int64_t due)
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
		if (is_less(guesser, place))
			place = guesser;
	}
	if (place != known)
		*place = (struct guesser){ 0 };
	memcpy(place->key, key, sizeof(key));
	if (place->wrong < WRONG_MAX)
		place->wrong++;
	place->last = monotonic_ms();
	*first_due(place) = due;
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

	note(slowdown, addr, monotonic_ms() + ms);
	if (slowdown->waiting >= slowdown->waiting_max)
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
slowdown_new(struct event_base *base, unsigned int waiting_max)
{
	struct slowdown *slowdown = xcalloc(1, sizeof(*slowdown));

	slowdown->waiting_max = waiting_max;
	slowdown->base = base;
	return slowdown;
}

void
slowdown_free(struct slowdown *slowdown)
{
	free(slowdown);
}
