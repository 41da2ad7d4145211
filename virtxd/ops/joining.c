/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/joining.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "disk/lease.h"
#include "ops/context.h"
#include "ops/signing.h"
#include "ops/token_keeper.h"
#include "proto/log.h"
#include "state/caller.h"
#include "state/joins.h"

enum state {
	STATE_BEGUN,
	STATE_SIGNING,	  /* its token is taken */
	STATE_LETTING_IN, /* the token keeper has the request */
	STATE_ENDED,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "begun", "signing", "letting in", "ended" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_BEGUN] = 1 << STATE_SIGNING | 1 << STATE_ENDED,
	[STATE_SIGNING] = 1 << STATE_LETTING_IN | 1 << STATE_ENDED,
	[STATE_LETTING_IN] = 1 << STATE_ENDED,
};

struct joining {
	struct context *ctx;
	enum state state;
	struct request *req;
	joining_done done;
	char id[JOIN_ID_SIZE]; /* of its token */
	char uuid[UUID_TEXT_SIZE];
	bool out;		      /* it was put out, and is let in again */
	bool gets_ca;		      /* it asks for the CA's key */
	struct cluster_member member; /* what it is told; has a secret */
};

static void
set_state(struct joining *joining, enum state state)
{
	assert(transitions[joining->state] & 1U << state);
	log_debug("ops", "host '%s' joins: %s, then %s", joining->uuid, state_names[joining->state],
	    state_names[state]);
	joining->state = state;
}

static void
joining_free(struct joining *joining)
{
	set_state(joining, STATE_ENDED);
	if (joining->member.serf_key)
		explicit_bzero(joining->member.serf_key, strlen(joining->member.serf_key));
	model_clear(&cluster_member_model, &joining->member);
	free(joining);
}

static void
fail(struct joining *joining, const struct error *err)
{
	/* Nobody has joined by it. */
	if (joining->state != STATE_BEGUN)
		joins_give_back(joining->ctx->joins, joining->id);
	joining->done(joining->req, NULL, err);
	joining_free(joining);
}

static void
succeed(struct joining *joining)
{
	const char *client = joining->req->client;

	if (joining->gets_ca)
		log_notice("api", "host '%s' at %s gets the CA's key by token '%s'", joining->uuid,
		    client, joining->id);
	log_info("api", "host '%s' at %s has joined the cluster by token '%s'", joining->uuid,
	    client, joining->id);
	joining->done(joining->req, &joining->member, NULL);
	joining_free(joining);
}

/* What it is told */

int
joining_own_address(const struct context *ctx, bool with_port, char **ret, struct error *err)
{
	const struct config_listen *l = config_public_listen(ctx->config);
	bool v6 = l && strchr(l->addr, ':');

	if (!l || l->transport != TRANSPORT_TLS || strcmp(l->addr, "0.0.0.0") == 0 ||
	    strcmp(l->addr, "::") == 0)
		return error_set_type(err, ERROR_BUSY,
		    "this host does not listen by 'tls' at an address that others could be told");
	*ret = with_port ? xasprintf(v6 ? "[%s]:%u" : "%s:%u", l->addr, l->port)
			 : xasprintf(v6 ? "[%s]" : "%s", l->addr);
	return 0;
}

/* What the host is told. */
static void
fill_member(struct joining *joining, const struct cluster_sign_result *result)
{
	const struct context *ctx = joining->ctx;
	struct cluster_member *ret = &joining->member;

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
on_let_in(void *arg, struct request *req, const struct error *err, const char *taken)
{
	if (err)
		fail(arg, err);
	else
		succeed(arg);
}

static void
on_signed(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	struct joining *joining = arg;
	struct error err = { 0 };

	if (!result) {
		fail(joining, cause);
		return;
	}
	if (joining_own_address(ctx, false, &joining->member.addresses, &err) < 0) {
		fail(joining, &err);
		return;
	}
	fill_member(joining, result);
	if (!joining->out) {
		succeed(joining);
		return;
	}
	set_state(joining, STATE_LETTING_IN);
	token_keeper_put_out(ctx->tokens, req, joining->uuid, false, on_let_in, joining);
}

/* Whether it may */

/* A host of the cluster that is to have the CA's key as well: it asks from its own address, by a
 * token that root of a host with the key has made for it alone. */
static bool
comes_again(const struct context *ctx, const struct joining *joining, const struct host *host)
{
	char address[46];
	struct error ignored;

	return joining->gets_ca && host->cstate == CSTATE_ACTIVE &&
	       strcmp(joining->uuid, inventory_self(ctx->inventory)) != 0 &&
	       joins_is_for(ctx->joins, joining->id, joining->uuid) &&
	       ctx->host_ops->address(ctx->host_arg, joining->uuid, address, &ignored) == 0 &&
	       strcmp(address, joining->req->caller->from) == 0;
}

/* A known host has the UUID: two boards may say the same, and who has any token would get the
 * certificate of a host that is down. The second is not let in, nor one that is away, unless an
 * admin has said so of this very host. */
static int
check_newcomer(const struct context *ctx, const struct joining *joining, struct error *err)
{
	const char *uuid = joining->uuid;
	const struct host *host = inventory_find_host(ctx->inventory, uuid);

	if (!host || comes_again(ctx, joining, host))
		return 0;
	if (host->cstate == CSTATE_ACTIVE || strcmp(uuid, inventory_self(ctx->inventory)) == 0)
		return error_set_type(err, ERROR_BUSY,
		    "host '%s', '%s', is active and has this UUID: where two boards have the same, "
		    "'host_uuid' of libvirt's configuration gives one its own",
		    uuid, str_or_empty(host->def.name));
	if (joins_is_for(ctx->joins, joining->id, uuid))
		return 0;
	return error_set_type(err, ERROR_BUSY,
	    "host '%s', '%s', has this UUID and is away: where it is this one, it joins by a token "
	    "for it alone, of 'virtx cluster token --host', or after 'virtx forget host'",
	    uuid, str_or_empty(host->def.name));
}

/* By the name of another one serf would take both for one member, and end the first one's agent. */
static int
check_name(const struct joining *joining, const struct cluster_join *join, struct error *err)
{
	const struct context *ctx = joining->ctx;
	const char *name = str_or_empty(join->name);

	if (!pki_host_name_valid(name))
		return error_set_type(
		    err, ERROR_INVALID, "name: '%.64s' is no name of a host", name);
	return ctx->host_ops->check_name(
	    ctx->host_arg, name, joining->uuid, joining->req->caller->from, err);
}

/* A certificate by which it could pass for another host, or for what is none, is not signed: it is
 * for the host's own name, and the address that it has shown to be its own. */
static int
check_requests(const struct joining *joining, const struct cluster_join *join, struct error *err)
{
	const struct context *ctx = joining->ctx;
	const char *from = joining->req->caller->from, *uuid = joining->uuid;
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
check_out(struct joining *joining, struct error *err)
{
	const struct context *ctx = joining->ctx;

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
check(struct joining *joining, const struct cluster_join *join, struct error *err)
{
	const struct context *ctx = joining->ctx;

	if (!ctx->joins)
		return error_set_type(err, ERROR_NOT_SUPPORTED, "no host joins by this one");
	if (joining->gets_ca && !joins_gives_ca(ctx->joins, joining->id))
		return error_set_type(err, ERROR_ROLE,
		    "by this token no host gets the CA's key: 'virtx cluster token --ca' makes "
		    "one that does");
	if (check_newcomer(ctx, joining, err) < 0 || check_name(joining, join, err) < 0 ||
	    check_requests(joining, join, err) < 0 || check_out(joining, err) < 0)
		return -1;
	return joins_take(ctx->joins, joining->id, joining->uuid, join->name, err);
}

void
joining_start(
    struct context *ctx, struct request *req, const struct joining_order *order, joining_done done)
{
	struct joining *joining = xcalloc(1, sizeof(*joining));
	struct signing_order sign;
	struct error err = { 0 };

	joining->ctx = ctx;
	joining->req = req;
	joining->done = done;
	joining->gets_ca = order->gets_ca;
	snprintf(joining->id, sizeof(joining->id), "%s", order->token);
	snprintf(joining->uuid, sizeof(joining->uuid), "%s", order->uuid);
	if (check(joining, order->join, &err) < 0) {
		fail(joining, &err);
		return;
	}
	set_state(joining, STATE_SIGNING);
	sign = (struct signing_order){ joining->uuid, str_or_empty(order->join->request),
		str_or_empty(order->join->qemu_request), joining->gets_ca, joining->out };
	signing_start(ctx, req, &sign, on_signed, joining);
}
