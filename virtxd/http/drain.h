/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that have got a reply before they had sent all of their request. To close one with
 * input unread would reset it, and the client would lose the reply; so what still comes is thrown
 * away for a while.
 */
#ifndef HTTP_DRAIN_H
#define HTTP_DRAIN_H

struct event_base;
struct drains;

struct drains *drains_new(struct event_base *base);
/* Closes them all. */
void drains_free(struct drains *drains);
/* Keeps the socket open (by a descriptor of its own: fd stays the caller's) until the client ends
 * it, or for some seconds. Best effort: nothing is kept where there are too many already. */
void drain_start(struct drains *drains, int fd);

#endif
