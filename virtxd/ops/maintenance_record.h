/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's maintenance as it is kept on the storage: read after a start, and saved when it has
 * changed, again and again where the storage refuses. */
#ifndef OPS_MAINTENANCE_RECORD_H
#define OPS_MAINTENANCE_RECORD_H

#include "ops/context.h"

struct maintenance_record_ops {
	/* It is known from now on. */
	void (*loaded)(void *arg);
	/* A save has ended; latest: nothing has changed since it began. */
	void (*saved)(void *arg, bool latest, const struct error *err);
};

struct maintenance_record {
	struct maintenance now;
	char *why;	/* it is not known yet; "" when it is */
	bool damaged;	/* what is kept is malformed, and waits for somebody to replace it */
	bool dirty;	/* it is not kept as it is */
	bool dirty_vms; /* and there are VMs in it that must not leave before */
	int64_t again;	/* monotonic ms: the storage is not asked before */
	bool busy;	/* a job loads or saves it */
	struct context *ctx;
	const struct maintenance_record_ops *ops;
	void *arg;
};

/* All are borrowed. */
void maintenance_record_init(struct maintenance_record *record, struct context *ctx,
    const struct maintenance_record_ops *ops, void *arg);
void maintenance_record_clear(struct maintenance_record *record);

/* The VM's entry, NULL for none. */
struct maintenance_vm *maintenance_record_find(struct maintenance_record *record, const char *vm);
/* Sets it, made where there is none; "" for no host, and for no reason to stay. */
void maintenance_record_set(
    struct maintenance_record *record, const char *vm, const char *host, const char *reason);
/* Nothing is kept that is worth waiting for: it is what it is set to from now on. */
void maintenance_record_replace(struct maintenance_record *record);
/* That has failed: it is read again. */
void maintenance_record_reread(struct maintenance_record *record, const char *why);
/* Loads what is not known, or saves what has changed. */
void maintenance_record_run(struct maintenance_record *record);

#endif
