/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "serf/rpc.h"

struct pending {
	STAILQ_ENTRY(pending) link;
	enum link_command command;
	uint64_t seq;
};

struct link {
	struct event_base *base;
	int deadline_s;
	const struct link_ops *ops;
	void *arg;
	struct bufferevent *bev; /* NULL while down */
	struct timer *timer;
	uint64_t seq;	     /* of the last request */
	uint64_t stream_seq; /* of the one that records belong to, 0 for none */
	STAILQ_HEAD(, pending) pending;
	unsigned int n_pending;
	unsigned int n_events;
	bool held;
	bool in_body; /* its header has come */
	struct rpc_header header;
};

/* The deadline runs while an answer is owed, anew from each one that came. */
static void
link_arm(struct link *link)
{
	if (STAILQ_EMPTY(&link->pending))
		timer_stop(link->timer);
	else
		timer_start(link->timer, link->deadline_s * INT64_C(1000));
}

static void
link_shift(struct link *link)
{
	struct pending *pending = STAILQ_FIRST(&link->pending);

	STAILQ_REMOVE_HEAD(&link->pending, link);
	link->n_pending--;
	link->n_events -= pending->command == LINK_EVENT;
	free(pending);
}

static int
link_fail(struct link *link, const char *why)
{
	link->ops->failed(link->arg, why);
	return -1;
}

/* Whether more follows the header of an answer; a refused join has its body all the same. */
static bool
link_has_body(enum link_command command, const char *error)
{
	if (command == LINK_JOIN)
		return true;
	return error[0] == '\0' && (command == LINK_MEMBERS || command == LINK_STATS);
}

/* Takes a header: 1 when it is all of an answer, 0 when a body follows, -1 when the link failed. */
static int
link_take_header(struct link *link, const void *data, size_t len)
{
	const struct pending *pending = STAILQ_FIRST(&link->pending);

	if (rpc_read_header(data, len, &link->header) < 0)
		return link_fail(link, "sent an answer that cannot be read");
	if (pending && pending->seq == link->header.seq)
		return !link_has_body(pending->command, link->header.error);
	if (link->stream_seq == 0 || link->header.seq != link->stream_seq)
		return link_fail(link, "sent an answer that nobody asked for");
	return 0;
}

/* Takes one object; -1 when the link is down. */
static int
link_take(struct link *link, const void *data, size_t len)
{
	const struct pending *pending;
	enum link_command command;
	int rc;

	if (!link->in_body) {
		rc = link_take_header(link, data, len);
		link->in_body = rc == 0;
		if (rc <= 0)
			return rc;
		data = NULL;
		len = 0;
	}
	link->in_body = false;

	pending = STAILQ_FIRST(&link->pending);
	if (!pending || pending->seq != link->header.seq)
		return link->ops->record(link->arg, data, len);
	command = pending->command;
	if (command == LINK_STREAM && link->header.error[0] == '\0')
		link->stream_seq = pending->seq;
	link_shift(link);
	link_arm(link);
	return link->ops->answered(link->arg, link, command, link->header.error, data, len);
}

static void
link_on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	struct link *link = arg;
	const unsigned char *data;
	size_t len;
	long n;

	while (!link->held && (len = evbuffer_get_length(input)) > 0) {
		data = evbuffer_pullup(input, -1);
		n = rpc_scan(data, len);
		if (n < 0)
			link_fail(link, "sent what is no answer");
		if (n <= 0 || link_take(link, data, (size_t)n) < 0)
			return;
		evbuffer_drain(input, (size_t)n);
	}
}

static void
link_on_event(struct bufferevent *bev, short what, void *arg)
{
	_free_ char *why = NULL;
	struct link *link = arg;

	if (what & BEV_EVENT_ERROR)
		why = xasprintf("cannot be reached: %s", strerror(EVUTIL_SOCKET_ERROR()));
	link_fail(link, why ? why : "closed the connection");
}

static void
link_on_timer(void *arg)
{
	struct link *link = arg;
	char why[64];

	snprintf(why, sizeof(why), "did not answer for %d seconds", link->deadline_s);
	link_fail(link, why);
}

struct link *
link_new(struct event_base *base, int deadline_s, const struct link_ops *ops, void *arg)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->base = base;
	link->deadline_s = deadline_s;
	link->ops = ops;
	link->arg = arg;
	link->timer = timer_new(base, link_on_timer, link);
	STAILQ_INIT(&link->pending);
	return link;
}

void
link_free(struct link *link)
{
	if (!link)
		return;
	link_down(link);
	timer_free(link->timer);
	free(link);
}

int
link_up(struct link *link, const struct sockaddr *sa, socklen_t size)
{
	_close_ int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || (connect(fd, sa, size) < 0 && errno != EINPROGRESS))
		return -errno;
	link->bev = bufferevent_socket_new(link->base, steal_fd(&fd), BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(link->bev, link_on_read, NULL, link_on_event, link);
	bufferevent_setwatermark(link->bev, EV_READ, 0, RPC_OBJECT_MAX);
	bufferevent_enable(link->bev, EV_READ | EV_WRITE);
	return 0;
}

void
link_down(struct link *link)
{
	if (link->bev)
		bufferevent_free(link->bev);
	link->bev = NULL;
	while (!STAILQ_EMPTY(&link->pending))
		link_shift(link);
	timer_stop(link->timer);
	link->stream_seq = 0;
	link->in_body = false;
	link->held = false;
}

uint64_t
link_expect(struct link *link, enum link_command command)
{
	struct pending *pending = xcalloc(1, sizeof(*pending));
	bool is_first = STAILQ_EMPTY(&link->pending);

	pending->command = command;
	pending->seq = ++link->seq;
	STAILQ_INSERT_TAIL(&link->pending, pending, link);
	link->n_pending++;
	link->n_events += command == LINK_EVENT;
	if (is_first)
		link_arm(link);
	return pending->seq;
}

void
link_send(struct link *link, struct buffer *out)
{
	bufferevent_write(link->bev, out->data, out->len);
	buffer_clear(out);
}

unsigned int
link_pending(const struct link *link, unsigned int *n_events)
{
	*n_events = link->n_events;
	return link->n_pending;
}

void
link_hold(struct link *link, bool hold)
{
	link->held = hold;
	/* What came meanwhile is in the buffer already. */
	if (!hold && link->bev)
		bufferevent_trigger(
		    link->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}
