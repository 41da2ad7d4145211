/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt may update and remove a watch from inside the watch's own callback, and forbids freeing
 * its opaque data inside remove: what is removed waits for a clean stack.
 */
#include "virt/bridge.h"

#include <event2/event.h>
#include <libvirt/libvirt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "proto/util.h"

struct watch {
	TAILQ_ENTRY(watch) link;
	int id;
	struct event *event; /* of a handle */
	struct timer *timer; /* of a timer */
	int fd;		     /* -1 for a timer */
	int wants;	     /* of a handle: virEventHandleType bits, 0 watches nothing */
	int frequency;	     /* of a timer: ms, 0 as often as the loop turns, -1 never */
	virEventHandleCallback handle_cb;
	virEventTimeoutCallback timer_cb;
	void *opaque;
	virFreeCallback ff;
};

TAILQ_HEAD(watch_list, watch);

/* libvirt's interface is one for the process and passes no context. */
static struct {
	struct event_base *base;
	struct timer *sweep;
	struct watch_list watches;
	struct watch_list removed;
	int last_id;
	volatile sig_atomic_t newest_fd;
} bridge = { .newest_fd = -1 };

static struct watch *
watch_find(int id, bool is_timer)
{
	struct watch *watch;

	if (!bridge.base)
		return NULL;
	TAILQ_FOREACH (watch, &bridge.watches, link) {
		if (watch->id == id && (watch->fd < 0) == is_timer)
			return watch;
	}
	return NULL;
}

/* Numbers are never used again, so that a late update or remove cannot hit another's watch. */
static struct watch *
watch_new(void *opaque, virFreeCallback ff)
{
	struct watch *watch;

	if (!bridge.base || bridge.last_id == INT_MAX)
		return NULL;
	watch = xcalloc(1, sizeof(*watch));
	watch->id = ++bridge.last_id;
	watch->fd = -1;
	watch->opaque = opaque;
	watch->ff = ff;
	TAILQ_INSERT_TAIL(&bridge.watches, watch, link);
	return watch;
}

/* It is never called again. */
static void
watch_stop(struct watch *watch)
{
	if (watch->event)
		event_free(watch->event);
	timer_free(watch->timer);
}

static int
watch_remove(int id, bool is_timer)
{
	struct watch *watch = watch_find(id, is_timer);

	if (!watch)
		return -1;
	watch_stop(watch);
	if (watch->fd >= 0 && watch->fd == bridge.newest_fd)
		bridge.newest_fd = -1;
	TAILQ_REMOVE(&bridge.watches, watch, link);
	TAILQ_INSERT_TAIL(&bridge.removed, watch, link);
	timer_soon(bridge.sweep);
	return 0;
}

static void
bridge_on_sweep(void *arg)
{
	struct watch *watch;

	while ((watch = TAILQ_FIRST(&bridge.removed)) != NULL) {
		TAILQ_REMOVE(&bridge.removed, watch, link);
		if (watch->ff)
			watch->ff(watch->opaque);
		free(watch);
	}
}

static void
handle_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct pollfd now = { .fd = fd, .events = POLLIN | POLLOUT };
	struct watch *watch = arg;
	int events = 0;

	if (what & EV_READ)
		events |= VIR_EVENT_HANDLE_READABLE;
	if (what & EV_WRITE)
		events |= VIR_EVENT_HANDLE_WRITABLE;
	if (what & EV_CLOSED)
		events |= VIR_EVENT_HANDLE_HANGUP;
	/* libevent does not tell errors and hang-ups from readable and writable. */
	if (poll(&now, 1, 0) > 0) {
		if (now.revents & POLLERR)
			events |= VIR_EVENT_HANDLE_ERROR;
		if (now.revents & POLLHUP)
			events |= VIR_EVENT_HANDLE_HANGUP;
	}
	events &= watch->wants;
	if (events)
		watch->handle_cb(watch->id, watch->fd, events, watch->opaque);
}

/* Makes the event fit what the handle wants. */
static void
handle_arm(struct watch *watch)
{
	short what = EV_PERSIST;

	event_del(watch->event);
	if (watch->wants == 0)
		return;
	if (watch->wants & VIR_EVENT_HANDLE_READABLE)
		what |= EV_READ;
	if (watch->wants & VIR_EVENT_HANDLE_WRITABLE)
		what |= EV_WRITE;
	if (what == EV_PERSIST)
		what |= EV_CLOSED;
	event_assign(watch->event, bridge.base, watch->fd, what, handle_on_event, watch);
	event_add(watch->event, NULL);
}

static int
add_handle(int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback ff)
{
	struct watch *watch = watch_new(opaque, ff);

	if (!watch)
		return -1;
	watch->fd = fd;
	watch->wants = events;
	watch->handle_cb = cb;
	watch->event = event_new(bridge.base, fd, EV_READ | EV_PERSIST, handle_on_event, watch);
	handle_arm(watch);
	bridge.newest_fd = fd;
	return watch->id;
}

static void
update_handle(int id, int events)
{
	struct watch *watch = watch_find(id, false);

	if (!watch || watch->wants == events)
		return;
	watch->wants = events;
	handle_arm(watch);
}

static int
remove_handle(int id)
{
	return watch_remove(id, false);
}

static void
timer_arm(struct watch *watch)
{
	if (watch->frequency >= 0)
		timer_start(watch->timer, watch->frequency);
	else
		timer_stop(watch->timer);
}

static void
timer_on_event(void *arg)
{
	struct watch *watch = arg;

	/* Before the callback, which may update or remove it. */
	timer_arm(watch);
	watch->timer_cb(watch->id, watch->opaque);
}

static int
add_timer(int frequency, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
	struct watch *watch = watch_new(opaque, ff);

	if (!watch)
		return -1;
	watch->frequency = frequency;
	watch->timer_cb = cb;
	watch->timer = timer_new(bridge.base, timer_on_event, watch);
	timer_arm(watch);
	return watch->id;
}

static void
update_timer(int id, int frequency)
{
	struct watch *watch = watch_find(id, true);

	if (!watch)
		return;
	watch->frequency = frequency;
	timer_arm(watch);
}

static int
remove_timer(int id)
{
	return watch_remove(id, true);
}

void
bridge_register(struct event_base *base)
{
	bridge.base = base;
	TAILQ_INIT(&bridge.watches);
	TAILQ_INIT(&bridge.removed);
	bridge.sweep = timer_new(base, bridge_on_sweep, NULL);
	virEventRegisterImpl(
	    add_handle, update_handle, remove_handle, add_timer, update_timer, remove_timer);
}

int
bridge_newest_fd(void)
{
	return bridge.newest_fd;
}

void
bridge_done(void)
{
	struct watch *watch;

	if (!bridge.base)
		return;
	while ((watch = TAILQ_FIRST(&bridge.watches)) != NULL) {
		watch_stop(watch);
		TAILQ_REMOVE(&bridge.watches, watch, link);
		TAILQ_INSERT_TAIL(&bridge.removed, watch, link);
	}
	bridge_on_sweep(NULL);
	timer_free(bridge.sweep);
	bridge.base = NULL;
	bridge.newest_fd = -1;
}
