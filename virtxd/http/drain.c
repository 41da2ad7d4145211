/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/drain.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/util.h"

#define DRAINS_MAX 64
#define QUIET_MAX  2	      /* seconds without input */
#define TOTAL_MAX  5000	      /* ms */
#define BYTES_MAX  (64 << 20) /* of one */

struct drain {
	TAILQ_ENTRY(drain) entry;
	struct drains *owner;
	struct event *event;
	int fd;
	int64_t end;
	size_t dropped;
};

struct drains {
	struct event_base *base;
	TAILQ_HEAD(, drain) list;
	unsigned int n;
};

static void
drain_free(struct drain *l)
{
	TAILQ_REMOVE(&l->owner->list, l, entry);
	l->owner->n--;
	event_free(l->event);
	util_close(&l->fd);
	free(l);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct drain *l = arg;
	ssize_t n = 0;

	if (what & EV_READ) {
		/* To TCP, MSG_TRUNC without a buffer means: throw away. */
		n = recv(fd, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
	}
	if (n > 0)
		l->dropped += (size_t)n;
	if (n <= 0 || l->dropped > BYTES_MAX || monotonic_ms() >= l->end)
		drain_free(l);
}

struct drains *
drains_new(struct event_base *base)
{
	struct drains *drains = xcalloc(1, sizeof(*drains));

	drains->base = base;
	TAILQ_INIT(&drains->list);
	return drains;
}

void
drains_free(struct drains *drains)
{
	struct drain *l;

	if (!drains)
		return;
	while ((l = TAILQ_FIRST(&drains->list)))
		drain_free(l);
	free(drains);
}

void
drain_start(struct drains *drains, int fd)
{
	static const struct timeval quiet = { .tv_sec = QUIET_MAX };
	struct drain *l;

	if (drains->n >= DRAINS_MAX || shutdown(fd, SHUT_WR) < 0) {
		close(fd);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->owner = drains;
	l->fd = fd;
	l->end = monotonic_ms() + TOTAL_MAX;
	l->event = event_new(drains->base, fd, EV_READ | EV_PERSIST, on_event, l);
	if (!l->event || event_add(l->event, &quiet) < 0)
		abort();
	TAILQ_INSERT_TAIL(&drains->list, l, entry);
	drains->n++;
}
