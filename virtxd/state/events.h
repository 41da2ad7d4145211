/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last changes of hosts, VMs and operations, in a bounded ring with running numbers. The
 * numbers start anew with each run of the daemon, which is told by the epoch.
 */
#ifndef STATE_EVENTS_H
#define STATE_EVENTS_H

#include "state/caller.h"
#include "state/inventory.h"
#include "state/operations.h"

#define EVENTS_MAX	 4096
#define EVENTS_BYTES_MAX (4 << 20) /* of the data of all together */

struct events;

struct event_item {
	uint64_t id;	  /* from 1 on, without gaps */
	const char *type; /* "vm", "host", "operation" or "reset" */
	char *data;	  /* JSON: a VmListItem (runstate deleted: it is gone), HostListItem,
			     Operation or {} */
	size_t len;
	/* Of "vm": the custom fields that it had, NULL where it had none. Of "operation": its VM
	 * and who asked for it. */
	struct vmdef *custom;
	char *vm, *user;
};

/* Both are borrowed and outlive the events, which observe them. */
struct events *events_new(struct inventory *inventory, struct operations *operations);
void events_free(struct events *events);

/* Changes may have been missed: who reads has to look anew. */
void events_add_reset(struct events *events);
/* An operation of another host has changed. */
void events_add_operation(struct events *events, const struct operation *operation);

/* Differs from run to run. */
uint64_t events_epoch(const struct events *events);
/* Of the latest; 0 before the first. */
uint64_t events_last(const struct events *events);
/* The oldest that is kept; events_last() + 1 while there is none. */
uint64_t events_first(const struct events *events);
/* Borrowed until the next change; NULL for one that is not kept (any more), or not there yet. */
const struct event_item *events_get(const struct events *events, uint64_t id);

/* Whether who asks may know of this. */
bool events_shows(
    const struct events *events, const struct event_item *item, const struct caller *caller);

/* added(arg) runs after each new one; one observer, NULL for none. */
void events_observe(struct events *events, void (*added)(void *arg), void *arg);

#endif
