/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No signal comes in the simulation: of libevent's events none is made. */
#include <event2/event.h>

#include "proto/util.h"

struct event *__wrap_event_new(
    struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
int __wrap_event_add(struct event *event, const struct timeval *timeout);
void __wrap_event_free(struct event *event);

struct event *
__wrap_event_new(
    struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
	return xcalloc(1, 1);
}

int
__wrap_event_add(struct event *event, const struct timeval *timeout)
{
	return 0;
}

void
__wrap_event_free(struct event *event)
{
	free(event);
}
