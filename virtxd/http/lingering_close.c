/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/lingering_close.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/timer.h"
#include "proto/util.h"

#define LINGERING_MAX 64
#define QUIET_MS      2000 /* without input */
#define TOTAL_MS      5000
#define BYTES_MAX     (64 << 20) /* of one */

struct lingering_close {
	TAILQ_ENTRY(lingering_close) entry;
	struct lingering_closes *owner;
	struct event *event;
	struct timer *quiet; /* started anew by what comes */
	int fd;
	int64_t end; /* monotonic ms */
	size_t dropped;
};

struct lingering_closes {
	struct event_base *base;
	TAILQ_HEAD(, lingering_close) list;
	unsigned int n;
};

static void
lingering_close_free(struct lingering_close *l)
{
	TAILQ_REMOVE(&l->owner->list, l, entry);
	l->owner->n--;
	event_free(l->event);
	timer_free(l->quiet);
	util_close(&l->fd);
	free(l);
}

static void
on_quiet(void *arg)
{
	lingering_close_free(arg);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	struct lingering_close *l = arg;
	/* To TCP, MSG_TRUNC without a buffer means: throw away. */
	ssize_t n = recv(fd, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		l->dropped += (size_t)n;
	if (n <= 0 || l->dropped > BYTES_MAX || monotonic_ms() >= l->end)
		lingering_close_free(l);
	else
		timer_start(l->quiet, QUIET_MS);
}

struct lingering_closes *
lingering_closes_new(struct event_base *base)
{
	struct lingering_closes *lingering = xcalloc(1, sizeof(*lingering));

	lingering->base = base;
	TAILQ_INIT(&lingering->list);
	return lingering;
}

void
lingering_closes_free(struct lingering_closes *lingering)
{
	struct lingering_close *l;

	if (!lingering)
		return;
	while ((l = TAILQ_FIRST(&lingering->list)))
		lingering_close_free(l);
	free(lingering);
}

bool
lingering_close_start(struct lingering_closes *lingering, int fd)
{
	struct lingering_close *l;

	if (lingering->n >= LINGERING_MAX || shutdown(fd, SHUT_WR) < 0)
		return false;
	l = xcalloc(1, sizeof(*l));
	l->owner = lingering;
	l->fd = fd;
	l->end = monotonic_ms() + TOTAL_MS;
	l->event = event_new(lingering->base, fd, EV_READ | EV_PERSIST, on_input, l);
	if (!l->event || event_add(l->event, NULL) < 0)
		abort();
	l->quiet = timer_new(lingering->base, on_quiet, l);
	timer_start(l->quiet, QUIET_MS);
	TAILQ_INSERT_TAIL(&lingering->list, l, entry);
	lingering->n++;
	return true;
}
