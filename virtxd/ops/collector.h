/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads what libvirt has into the inventory: all of it every few seconds, what an event named at
 * once, and the sizes of disks. */
#ifndef OPS_COLLECTOR_H
#define OPS_COLLECTOR_H

#include "job/job.h"
#include "state/config.h"
#include "state/inventory.h"
#include "work/requests.h"

struct collector;

struct collector_ops {
	/* Whether the shared storage is there. */
	bool (*has_storage)(void *arg);
	/* A probe's outcome: libvirt answers and told the host's uuid, or it is NULL and err says
	 * why. */
	void (*probed)(void *arg, const char *host, const struct error *err);
	/* All of it has been read. */
	void (*collected)(void *arg);
};

/* All are borrowed and outlive it. */
struct collector *collector_new(struct event_base *base, const struct config *config,
    struct jobs *jobs, struct inventory *inventory, const struct collector_ops *ops, void *arg);
/* Jobs under way end by themselves, and nobody is told. */
void collector_free(struct collector *collector);
/* The period may have changed. */
void collector_reload(struct collector *collector);

/* Asks in a child whether libvirt answers; probed tells. */
void collector_probe(struct collector *collector);
/* The event connection is up (collect at once), or lost (collections rest). */
void collector_set_libvirt(struct collector *collector, bool connected);
/* This VM has changed: look at it in a moment. */
void collector_refresh(struct collector *collector, const char *uuid);
/* This VM is gone. */
void collector_forget(struct collector *collector, const char *uuid);
/* Whether all VMs that libvirt has here have been told to the inventory once. */
bool collector_knows_vms(struct collector *collector);
/* VMs that are off, and of which it is open whether they are this host's: see newcomers.h. */
bool collector_is_undecided(const struct collector *collector, const char *uuid);
void collector_each_undecided(
    const struct collector *collector, void (*each)(void *arg, const char *uuid), void *arg);

#endif
