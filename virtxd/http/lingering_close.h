/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that have got a reply before they had sent all of their request. To close one with
 * input unread would reset it, and the client would lose the reply; so what still comes is thrown
 * away for a while.
 */
#ifndef HTTP_LINGERING_CLOSE_H
#define HTTP_LINGERING_CLOSE_H

#include "proto/util.h"

struct event_base;
struct lingering_closes;

struct lingering_closes *lingering_closes_new(struct event_base *base);
/* Closes them all. */
void lingering_closes_free(struct lingering_closes *lingering);
/* Ends the sending side of the socket fd, and keeps it open until the client ends the other one, or
 * for some seconds: it is given away then. False where there are too many, or the socket is dead:
 * it stays the caller's. */
bool lingering_close_start(struct lingering_closes *lingering, int fd);

#endif
