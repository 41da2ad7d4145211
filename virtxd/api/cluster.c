/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts that join the cluster, and the tokens for it. */
#include <string.h>

#include "api/handlers.h"
#include "ops/join_token.h"
#include "ops/joining.h"
#include "ops/task.h"
#include "proto/json.h"
#include "proto/uuid.h"
#include "state/caller.h"

/* What virtxd has for a user behind "join:". */
#define JOIN_PREFIX "join:"

/* What no cache on the way is to keep. */
static void
reply_secret(struct request *req, const struct model *model, const void *obj)
{
	static const struct request_header headers[] = { { "Cache-Control", "no-store" } };
	size_t len;
	char *json = json_encode(model, obj, &len);

	request_reply_json(req, 200, json, len, headers, ARRAY_SIZE(headers));
}

/* Tokens */

static void
reply_token(struct request *req, const struct cluster_token *token, const struct error *err)
{
	if (token)
		reply_secret(req, &cluster_token_model, token);
	else
		request_reply_error(req, err);
}

void
api_cluster_token(struct context *ctx, struct request *req)
{
	struct cluster_token_options options = { 0 };
	struct error err = { 0 };
	bool gives_ca;

	if (req->body_len > 0 && task_read_exact(req, &options) < 0)
		return;
	if (request_flag(req, "ca", &gives_ca, &err) < 0)
		request_reply_error(req, &err);
	else
		join_token_start(ctx, req, &options, gives_ca, reply_token);
	model_clear(&cluster_token_options_model, &options);
}

/* Joining */

static void
reply_member(struct request *req, const struct cluster_member *member, const struct error *err)
{
	if (member)
		reply_secret(req, &cluster_member_model, member);
	else
		request_reply_error(req, err);
}

/* Which host asks, by which token, and for what. */
static int
read_order(const struct request *req, char uuid[UUID_TEXT_SIZE], struct joining_order *order,
    struct error *err)
{
	const char *user = str_or_empty(req->user);

	/* By the socket root may do all else. */
	if (req->caller->role != ROLE_JOIN || strncmp(user, JOIN_PREFIX, strlen(JOIN_PREFIX)) != 0)
		return error_set_type(
		    err, ERROR_ROLE, "a host joins by a token of 'virtx cluster token' alone");
	if (uuid_normalize(str_or_empty(order->join->uuid), uuid) < 0)
		return error_set_type(err, ERROR_INVALID, "uuid: is not the UUID of a host");
	order->token = user + strlen(JOIN_PREFIX);
	order->uuid = uuid;
	return request_flag(req, "ca", &order->gets_ca, err);
}

void
api_cluster_join(struct context *ctx, struct request *req)
{
	struct cluster_join join = { 0 };
	struct joining_order order = { .join = &join };
	char uuid[UUID_TEXT_SIZE];
	struct error err = { 0 };

	if (task_read_exact(req, &join) < 0)
		return;
	if (read_order(req, uuid, &order, &err) < 0)
		request_reply_error(req, &err);
	else
		joining_start(ctx, req, &order, reply_member);
	model_clear(&cluster_join_model, &join);
}
