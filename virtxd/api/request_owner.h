/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which host a request is for. */
#ifndef API_REQUEST_OWNER_H
#define API_REQUEST_OWNER_H

#include "ops/request.h"
#include "proto/uuid.h"

struct context;

/*
 * Finds the host that has to answer; ret is "" for this one, which also answers what is wrong with
 * the request. -1 with the error where it must not be forwarded: 508 when it was already, 503 when
 * the host is not active.
 */
int request_owner_find(
    struct context *ctx, const struct request *req, char ret[UUID_TEXT_SIZE], struct error *err);

/* 0 when that is this host; -1 with a 404, or with a 503 where it is another host. Requests for one
 * that is active were forwarded before. */
int request_owner_check_self(const struct context *ctx, const char *host, struct error *err);

#endif
