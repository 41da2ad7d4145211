/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A change of this host's maintenance that a client wants, from the request until it is kept. */
#ifndef OPS_MAINTENANCE_CHANGE_H
#define OPS_MAINTENANCE_CHANGE_H

#include "ops/maintenance_record.h"
#include "ops/request.h"
#include "proto/uuid.h"

struct maintenance_change {
	struct context *ctx;
	struct maintenance_record *record;
	struct request *req;	   /* NULL when it is answered already */
	struct maintenance before; /* how it was, if that fails */
	char operation[UUID_TEXT_SIZE];
	bool at_once; /* the operation ends with it */
	char *damage; /* what was wrong with the record that it replaces, NULL for nothing */
};

/* Begins an operation, and to change the record: the caller sets that, and has it saved. A client
 * that does not wait is answered. ctx and record are borrowed, and req is its own. */
struct maintenance_change *maintenance_change_begin(
    struct context *ctx, struct maintenance_record *record, struct request *req, bool at_once);

/* Each of these answers the client who waits still, and frees the change. */

/* It is kept. */
void maintenance_change_done(struct maintenance_change *change);
/* The record is again as it was before. */
void maintenance_change_fail(struct maintenance_change *change, const struct error *err);
/* virtxd stops: how it ends is not known. NULL is fine. */
void maintenance_change_forget(struct maintenance_change *change);

#endif
