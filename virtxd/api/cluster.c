/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts that join the cluster. */
#include "proto/cluster.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "disk/lease.h"
#include "ops/context.h"
#include "ops/signing.h"
#include "ops/task.h"
#include "ops/token_keeper.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/token_secret.h"
#include "state/caller.h"
#include "state/joins.h"

/* What virtxd has for a user behind "join:". */
#define JOIN_PREFIX "join:"

/* The listener by which others can ask this host, as ADDR:PORT, or -1 where there is none. */
static int
own_address(const struct context *ctx, char **ret, bool with_port, struct error *err)
{
	const struct config_listen *l = config_public_listen(ctx->config);
	bool v6 = l && strchr(l->addr, ':');

	if (!l || l->transport != TRANSPORT_TLS || strcmp(l->addr, "0.0.0.0") == 0 ||
	    strcmp(l->addr, "::") == 0)
		return error_set(err, 409,
		    "this host does not listen by 'tls' at an address that others could be told");
	*ret = with_port ? xasprintf(v6 ? "[%s]:%u" : "%s:%u", l->addr, l->port)
			 : xasprintf(v6 ? "[%s]" : "%s", l->addr);
	return 0;
}

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

/* One that is to be made. */
struct making {
	int64_t lifetime;	   /* s */
	char host[UUID_TEXT_SIZE]; /* "" for any */
	bool gives_ca;		   /* who joins by it may have the CA's key */
};

/* The token's secret exists only once all else is known. */
static void
token_made(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	_free_ struct making *making = arg;
	struct join_terms terms = { .host = making->host, .gives_ca = making->gives_ca };
	char secret[TOKEN_SECRET_SIZE];
	struct cluster_token token = { 0 };
	struct error err = { 0 };

	if (!result) {
		request_reply_error(req, cause);
		return;
	}
	token_secret_make(secret);
	token.expires = terms.expires = now_ms() + making->lifetime * 1000;
	if (own_address(ctx, &token.addresses, true, &err) < 0 ||
	    joins_add(ctx->joins, secret, &terms, &err) < 0) {
		request_reply_error(req, &err);
	} else {
		token.fingerprint = xstrdup(result->fingerprint);
		token.secret = xstrdup(secret);
		log_info("api", "a token by which a host may join%s was made by %s",
		    terms.gives_ca ? ", and have the CA's key," : "", req->user);
		reply_secret(req, &cluster_token_model, &token);
		explicit_bzero(token.secret, strlen(token.secret));
	}
	explicit_bzero(secret, sizeof(secret));
	model_clear(&cluster_token_model, &token);
}

/* Root on this host, whom the kernel has named, can read the CA's key anyway. Any other admin may
 * have certificates made, which can be revoked; what is signed by that key elsewhere cannot be. */
static int
check_gives_ca(const struct request *req, struct error *err)
{
	if (strcmp(req->client, CALLER_UNIX) == 0 && strcmp(req->user, CALLER_ROOT) == 0)
		return 0;
	return error_set_type(err, ERROR_ROLE,
	    "a token by which a host gets the CA's key is made by root on a host that has it, by "
	    "its UNIX socket, and not by '%s' at %s",
	    req->user, req->client);
}

static int
check_token(const struct context *ctx, const struct request *req,
    const struct cluster_token_options *options, struct making *ret, struct error *err)
{
	if (request_flag(req, "ca", &ret->gives_ca, err) < 0)
		return -1;
	if (ret->gives_ca && check_gives_ca(req, err) < 0)
		return -1;
	if (ret->gives_ca && str_empty(ctx->config->tls_ca_key))
		return error_set(err, 501, "this host does not have the key of the CA itself");
	if (options->lifetime < 0 || options->lifetime > CLUSTER_LIFETIME_MAX)
		return error_set(err, 400, "lifetime: %lld is not from 0 to %lld seconds",
		    (long long)options->lifetime, (long long)CLUSTER_LIFETIME_MAX);
	if (!str_empty(options->host) && uuid_normalize(options->host, ret->host) < 0)
		return error_set(err, 400, "host: is not the UUID of a host");
	if (!ctx->joins)
		return error_set(err, 501, "no host joins by this one");
	ret->lifetime = options->lifetime ? options->lifetime : CLUSTER_LIFETIME;
	return 0;
}

void
api_cluster_token(struct context *ctx, struct request *req)
{
	static const struct signing_order which_ca = { "", "", "", false, false };
	struct cluster_token_options options = { 0 };
	struct making *making = xcalloc(1, sizeof(*making));
	struct error err = { 0 };

	if (req->body_len > 0 && task_read_exact(req, &options) < 0) {
		free(making);
		return;
	}
	if (check_token(ctx, req, &options, making, &err) < 0) {
		request_reply_error(req, &err);
		free(making);
	} else {
		signing_start(ctx, req, &which_ca, token_made, making);
	}
	model_clear(&cluster_token_options_model, &options);
}

/* Joining */

struct joining {
	char id[JOIN_ID_SIZE];
	char uuid[UUID_TEXT_SIZE];
	bool out;     /* it was put out, and is let in again */
	bool gets_ca; /* it asks for the CA's key */
};

/* What the host is told, which has a secret; the caller wipes it. */
static void
fill_member(const struct context *ctx, const struct joining *joining,
    const struct cluster_sign_result *result, struct cluster_member *ret)
{
	ret->certificate = xstrdup(str_or_empty(result->certificate));
	ret->qemu_certificate = xstrdup(str_or_empty(result->qemu_certificate));
	ret->ca = xstrdup(result->ca);
	ret->serf_key = xstrdup(result->serf_key);
	/* Another host may join at this moment, or have been counted and forgotten. */
	ret->number = lockspace_default_id(joining->uuid);
	ret->sanlock_group = result->sanlock_group;
	ret->io_timeout = ctx->config->io_timeout;
	ret->storage_root = xstrdup(ctx->config->storage_root);
	ret->ha = ctx->config->ha_enabled;
	ret->ca_key = xstrdup(str_or_empty(result->sealed));
}

static void
wipe_member(struct cluster_member *member)
{
	if (member->serf_key)
		explicit_bzero(member->serf_key, strlen(member->serf_key));
	model_clear(&cluster_member_model, member);
}

static void
reply_joined(
    struct request *req, const struct joining *joining, const struct cluster_member *member)
{
	if (joining->gets_ca)
		log_notice("api", "host '%s' at %s gets the CA's key by token '%s'", joining->uuid,
		    req->client, joining->id);
	log_info("api", "host '%s' at %s has joined the cluster by token '%s'", joining->uuid,
	    req->client, joining->id);
	reply_secret(req, &cluster_member_model, member);
}

/* A host that is let in again, when all is there for it. */
struct letting {
	struct context *ctx;
	struct joining joining;
	struct cluster_member member;
};

static void
on_let_in(void *arg, struct request *req, const struct error *err, const char *taken)
{
	struct letting *letting = arg;

	if (err) {
		joins_give_back(letting->ctx->joins, letting->joining.id);
		request_reply_error(req, err);
	} else {
		reply_joined(req, &letting->joining, &letting->member);
	}
	wipe_member(&letting->member);
	free(letting);
}

static void
joined(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	_free_ struct joining *joining = arg;
	struct cluster_member member = { 0 };
	struct letting *letting;
	struct error err = { 0 };

	if (!result || own_address(ctx, &member.addresses, false, &err) < 0) {
		/* Nobody has joined by it. */
		joins_give_back(ctx->joins, joining->id);
		request_reply_error(req, result ? &err : cause);
		return;
	}
	fill_member(ctx, joining, result, &member);
	if (!joining->out) {
		reply_joined(req, joining, &member);
		wipe_member(&member);
		return;
	}
	letting = xcalloc(1, sizeof(*letting));
	*letting = (struct letting){ ctx, *joining, member };
	token_keeper_put_out(ctx->tokens, req, joining->uuid, false, on_let_in, letting);
}

/* A host of the cluster that is to have the CA's key as well: it asks from its own address, by a
 * token that root of a host with the key has made for it alone. */
static bool
comes_again(const struct context *ctx, const struct request *req, const struct joining *joining,
    const struct host *host)
{
	char address[46];
	struct error ignored;

	return joining->gets_ca && host->cstate == CSTATE_ACTIVE &&
	       strcmp(joining->uuid, inventory_self(ctx->inventory)) != 0 &&
	       joins_is_for(ctx->joins, joining->id, joining->uuid) &&
	       ctx->host_ops->address(ctx->host_arg, joining->uuid, address, &ignored) == 0 &&
	       strcmp(address, req->caller->from) == 0;
}

/* A known host has the UUID: two boards may say the same, and who has any token would get the
 * certificate of a host that is down. The second is not let in, nor one that is away, unless an
 * admin has said so of this very host. */
static int
check_newcomer(const struct context *ctx, const struct request *req, const struct joining *joining,
    struct error *err)
{
	const char *uuid = joining->uuid;
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	if (!host || comes_again(ctx, req, joining, host))
		return 0;
	if (host->cstate == CSTATE_ACTIVE || strcmp(uuid, inventory_self(ctx->inventory)) == 0)
		return error_set(err, 409,
		    "host '%s', '%s', is active and has this UUID: where two boards have the same, "
		    "'host_uuid' of libvirt's configuration gives one its own",
		    uuid, str_or_empty(host->def.name));
	if (joins_is_for(ctx->joins, joining->id, uuid))
		return 0;
	return error_set(err, 409,
	    "host '%s', '%s', has this UUID and is away: where it is this one, it joins by a token "
	    "for it alone, of 'virtx cluster token --host', or after 'virtx forget host'",
	    uuid, str_or_empty(host->def.name));
}

/* By the name of another one serf would take both for one member, and end the first one's agent. */
static int
check_name(const struct context *ctx, const struct request *req, const struct cluster_join *join,
    const char *uuid, struct error *err)
{
	const char *name = str_or_empty(join->name);

	if (!pki_host_name_valid(name))
		return error_set(err, 400, "name: '%.64s' is no name of a host", name);
	return ctx->host_ops->check_name(ctx->host_arg, name, uuid, req->caller->from, err);
}

/* A certificate by which it could pass for another host, or for what is none, is not signed: it is
 * for the host's own name, and the address that it has shown to be its own. */
static int
check_requests(const struct context *ctx, const struct request *req,
    const struct cluster_join *join, const char *uuid, struct error *err)
{
	const char *from = req->caller->from;
	const struct signing_names may = { "", join->name, from };

	/* It has certificates of the site's own CA. */
	if (str_empty(ctx->config->tls_ca_key) && str_empty(join->request) &&
	    str_empty(join->qemu_request))
		return ctx->host_ops->check_name(ctx->host_arg, from, uuid, from, err);
	if (signing_check_names(&may, str_or_empty(join->request), err) < 0 ||
	    signing_check_names(&may, str_or_empty(join->qemu_request), err) < 0)
		return -1;
	return ctx->host_ops->check_name(ctx->host_arg, from, uuid, from, err);
}

/* One that was put out comes back where an admin has said so of this very host. */
static int
check_out(const struct context *ctx, struct joining *joining, struct error *err)
{
	if (!ctx->tokens || token_keeper_check_host(ctx->tokens, joining->uuid, err) == 0)
		return 0;
	if (!error_is(err, ERROR_NOT_A_MEMBER))
		return -1;
	if (!joins_is_for(ctx->joins, joining->id, joining->uuid)) {
		error_append(
		    err, "'virtx cluster token --host' makes a token by which it may join again");
		return -1;
	}
	*err = (struct error){ 0 };
	joining->out = true;
	return 0;
}

static int
check_join(const struct context *ctx, const struct request *req, const struct cluster_join *join,
    struct joining *ret, struct error *err)
{
	const char *user = str_or_empty(req->user);

	/* By the socket root may do all else. */
	if (req->caller->role != ROLE_JOIN || strncmp(user, JOIN_PREFIX, strlen(JOIN_PREFIX)) != 0)
		return error_set_type(
		    err, ERROR_ROLE, "a host joins by a token of 'virtx cluster token' alone");
	if (uuid_normalize(str_or_empty(join->uuid), ret->uuid) < 0)
		return error_set(err, 400, "uuid: is not the UUID of a host");
	if (!ctx->joins)
		return error_set(err, 501, "no host joins by this one");
	snprintf(ret->id, sizeof(ret->id), "%s", user + strlen(JOIN_PREFIX));
	if (request_flag(req, "ca", &ret->gets_ca, err) < 0)
		return -1;
	if (ret->gets_ca && !joins_gives_ca(ctx->joins, ret->id))
		return error_set_type(err, ERROR_ROLE,
		    "by this token no host gets the CA's key: 'virtx cluster token --ca' makes "
		    "one that does");
	if (check_newcomer(ctx, req, ret, err) < 0 ||
	    check_name(ctx, req, join, ret->uuid, err) < 0 ||
	    check_requests(ctx, req, join, ret->uuid, err) < 0)
		return -1;
	if (check_out(ctx, ret, err) < 0)
		return -1;
	return joins_take(ctx->joins, ret->id, ret->uuid, join->name, err);
}

static void
start_signing(struct context *ctx, struct request *req, struct joining *joining,
    const char *request, const char *qemu_request)
{
	const struct signing_order order = { joining->uuid, str_or_empty(request),
		str_or_empty(qemu_request), joining->gets_ca, joining->out };

	signing_start(ctx, req, &order, joined, joining);
}

void
api_cluster_join(struct context *ctx, struct request *req)
{
	struct joining *joining = xcalloc(1, sizeof(*joining));
	struct cluster_join join = { 0 };
	struct error err = { 0 };

	if (task_read_exact(req, &join) < 0) {
		free(joining);
		return;
	}
	if (check_join(ctx, req, &join, joining, &err) < 0) {
		request_reply_error(req, &err);
		free(joining);
	} else {
		start_signing(ctx, req, joining, join.request, join.qemu_request);
	}
	model_clear(&cluster_join_model, &join);
}
