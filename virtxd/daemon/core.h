/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All of a virtxd but its doors: what it knows, its jobs and operations, and its part in the
 * cluster. daemon.c adds the HTTP server, libvirt's events and the signals; a simulation has
 * others in their place.
 */
#ifndef DAEMON_CORE_H
#define DAEMON_CORE_H

#include "ops/context.h"

struct autostart;
struct cluster;
struct forwarder;
struct peers;
struct tls;

struct core_ops {
	/* keeper_probe has ended; err is NULL where libvirt answers. */
	void (*probed)(void *arg, const struct error *err);
	/* "" while the connection for libvirt's events is there, else why it is not. */
	const char *(*libvirt_why)(void *arg);
	/* See host_ops. */
	void (*outside)(void *arg, struct metrics_outside *ret);
};

struct core {
	const struct config *config; /* borrowed */
	struct event_base *base;     /* likewise */
	const struct core_ops *ops;
	void *arg;
	struct inventory *inventory;
	struct operations *operations;
	struct list_replies *list_replies;
	struct jobs *jobs;
	struct keeper *keeper;
	struct peers *peers;
	struct tls *tls; /* borrowed; NULL without a certificate */
	struct forwarder *forwarder;
	struct cluster *cluster; /* NULL until the host's uuid is known */
	int64_t maintenance;	 /* since then; 0: none, -1: not known yet */
	struct context ctx;	 /* without streams and lag */
	struct autostart *autostart;
	struct crash_restart *crash_restart;
	struct guest_reboots *guest_reboots;
};

/* What is borrowed outlives the core. */
void core_init(struct core *core, struct event_base *base, const struct config *config,
    const struct core_ops *ops, void *arg);
/* The certificate (borrowed), before it runs. */
void core_set_tls(struct core *core, struct tls *tls);
/* After the HTTP server, which drops the requests that are under way. One that is zero is fine. */
void core_free(struct core *core);
/* "" while serf is connected, else why it is not. */
const char *core_why_no_serf(const struct core *core);

/* For how long another host may take to answer this, ms. */
int core_ask_ms(const struct config *config, enum method method, const char *path);

#endif
