/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A token is made by which a host may join.
 *
 *   begun   -> looking   a job finds out which CA it is that the host can trust
 *   begun   -> ended     there can be no such token
 *   looking -> ended     it is made, or the job has failed
 */
#ifndef OPS_JOIN_TOKEN_H
#define OPS_JOIN_TOKEN_H

#include "ops/request.h"
#include "proto/cluster.h"

struct context;

/* What comes of it, with the request, which wants its reply now: the token (borrowed, with its
 * secret, and wiped afterwards), or NULL with err. */
typedef void (*join_token_done)(
    struct request *req, const struct cluster_token *token, const struct error *err);

/* gives_ca: who joins by it may have the CA's key. done runs once, maybe before this has returned;
 * where virtxd stops, with an error. */
void join_token_start(struct context *ctx, struct request *req,
    const struct cluster_token_options *options, bool gives_ca, join_token_done done);

#endif
