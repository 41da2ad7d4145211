/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host joins the cluster by a token, which is used up by that.
 *
 *   begun      -> signing      it may join, and a job signs its certificates
 *   begun      -> ended        it may not
 *   signing    -> letting in   it was put out: that it is in again is kept for all hosts
 *   signing    -> ended        it has joined, or the job could not sign
 *   letting in -> ended        it has joined, or that is not kept
 *
 * Where it has not joined the token is as good as before.
 */
#ifndef OPS_JOINING_H
#define OPS_JOINING_H

#include "ops/request.h"
#include "proto/cluster.h"

struct context;

/* All is borrowed for the call. */
struct joining_order {
	const char *token; /* the id of the one that it has shown */
	const char *uuid;  /* of the host */
	const struct cluster_join *join;
	bool gets_ca; /* it asks for the CA's key */
};
/* What comes of it, with the request, which wants its reply now: what the host is told (borrowed,
 * with a secret, and wiped afterwards), or NULL with err. */
typedef void (*joining_done)(
    struct request *req, const struct cluster_member *member, const struct error *err);

/* done runs once, maybe before this has returned; where virtxd stops, with an error. */
void joining_start(
    struct context *ctx, struct request *req, const struct joining_order *order, joining_done done);

/* The listener by which others can ask this host, as ADDR or ADDR:PORT (with_port); the caller
 * frees. 0, or -1 with a 409 where there is none. */
int joining_own_address(const struct context *ctx, bool with_port, char **ret, struct error *err);

#endif
