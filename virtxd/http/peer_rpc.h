/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations and endpoints ask another host by themselves, see struct peer_ask. */
#ifndef HTTP_PEER_RPC_H
#define HTTP_PEER_RPC_H

#include "http/forward.h"
#include "ops/context.h"

/*
 * Asks the host, which must answer itself. ask is borrowed until it is answered, or the peers are
 * freed. deadline_ms is for the whole answer. 0, or -1 with err when it cannot be tried.
 */
int peer_rpc_start(struct peers *peers, struct peer_ask *ask, const struct forward_address *address,
    const char *host, enum method method, const char *path, const char *user, const char *body,
    int deadline_ms, struct error *err);

#endif
