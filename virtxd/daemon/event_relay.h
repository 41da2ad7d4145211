/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of the other hosts, as events of this one: read of each host while a client of
 * this one follows GET /events. A feed that breaks goes on where it was; where it cannot, or begins
 * while clients follow already, these are told of a reset.
 */
#ifndef DAEMON_EVENT_RELAY_H
#define DAEMON_EVENT_RELAY_H

#include "api/events.h"
#include "http/peer.h"

struct members;
struct operations;
struct event_relay;

/* All are borrowed and outlive the relay. */
struct event_relay *event_relay_new(struct event_base *base, struct peers *peers,
    const struct members *members, struct event_streams *streams, struct events *events,
    struct operations *operations);
/* Before the peers. */
void event_relay_free(struct event_relay *relay);

#endif
