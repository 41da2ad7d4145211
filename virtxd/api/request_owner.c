/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/request_owner.h"

#include <stdio.h>
#include <string.h>

#include "ops/context.h"
#include "ops/known.h"
#include "proto/json.h"
#include "state/caller.h"

/* The host that the body names, "" where it names none or is wrong. */
static void
read_host(const struct request *req, char ret[UUID_TEXT_SIZE])
{
	/* One string named host: of all other fields only the syntax is looked at. */
	struct vm_register_options options = { 0 };
	struct error ignored;

	if (json_decode_request(
		&vm_register_options_model, req->body, req->body_len, &options, &ignored) < 0 ||
	    uuid_normalize(str_or_empty(options.host), ret) < 0)
		ret[0] = '\0';
	model_clear(&vm_register_options_model, &options);
}

/* The host that the query names, "" where it names none, or is wrong: a list answers that itself.
 */
static void
read_query(const struct context *ctx, const struct request *req, char ret[UUID_TEXT_SIZE])
{
	_free_ char *text = NULL;
	struct error ignored;
	const struct host *host;

	ret[0] = '\0';
	if (req->looped || request_query(req, "host", &text, &ignored) < 0 || !text ||
	    uuid_normalize(text, ret) < 0)
		return;
	host = inventory_find_host(ctx->inventory, ret);
	if (!host || host->cstate != CSTATE_ACTIVE)
		ret[0] = '\0';
}

static void
find_host(
    const struct context *ctx, const struct request *req, bool dry_run, char ret[UUID_TEXT_SIZE])
{
	const struct inventory_vm *view;
	const struct host *host;
	const char *elsewhere;

	switch (req->route->scope) {
	case SCOPE_VM:
		view = inventory_find_vm(ctx->inventory, req->param);
		if (view && !view->local && uuid_normalize(view->vm.runinfo.host, ret) == 0)
			return;
		break;
	case SCOPE_HOST:
		host = inventory_find_host(ctx->inventory, req->param);
		/* Of one that is away, what is remembered is all there is. */
		if (host && host->cstate == CSTATE_ACTIVE && uuid_normalize(req->param, ret) == 0)
			return;
		break;
	case SCOPE_BODY:
		/* Of a dry run all is known here. */
		if (dry_run)
			break;
		read_host(req, ret);
		return;
	case SCOPE_QUERY:
		read_query(ctx, req, ret);
		return;
	case SCOPE_OPERATION:
		elsewhere = operations_find_elsewhere(ctx->operations, req->param);
		if (elsewhere && uuid_normalize(elsewhere, ret) == 0)
			return;
		break;
	case SCOPE_HERE:
	default:
		break;
	}
	ret[0] = '\0';
}

int
request_owner_find(
    struct context *ctx, const struct request *req, char ret[UUID_TEXT_SIZE], struct error *err)
{
	const struct host *host;
	bool dry_run = false;

	if ((req->route->id == ROUTE_VM_CREATE || req->route->id == ROUTE_VM_MIGRATE) &&
	    request_flag(req, "dry_run", &dry_run, err) < 0)
		return -1;
	find_host(ctx, req, dry_run, ret);
	if (str_empty(ret))
		return 0;
	host = inventory_find_host(ctx->inventory, ret);
	if (!host || str_equal(ret, inventory_self(ctx->inventory))) {
		ret[0] = '\0';
		return 0;
	}
	if (req->looped)
		error_set(err, 508,
		    "the request was forwarded to this host, which would forward it to '%s' (%s)",
		    str_or_empty(host->def.name), ret);
	else if (req->route->role == ROLE_HOST)
		/* Hosts send what they ask each other to the host that it is for. */
		error_set(err, 508,
		    "the request is for host '%s' (%s), and what hosts ask each other is not "
		    "forwarded",
		    str_or_empty(host->def.name), ret);
	else if (host->cstate != CSTATE_ACTIVE)
		error_set(err, 503, "host '%s' (%s) is not active: serf says it is %s",
		    str_or_empty(host->def.name), ret, enum_word(&cstate_enum, host->cstate));
	else if (inventory_is_out(ctx->inventory, ret))
		(void)inventory_check_out(ctx->inventory, ret, err);
	else if (dry_run && !inventory_tells_digest(ctx->inventory, ret))
		/* The Go virtx does not know the parameter: it would do it. */
		error_set(err, 501, "the virtxd of host '%s' (%s) has no dry runs",
		    str_or_empty(host->def.name), ret);
	else if (req->caller && caller_is_limited(req->caller) &&
		 req->route->method != METHOD_GET && !inventory_tells_digest(ctx->inventory, ret))
		/* It would change what is not theirs. */
		error_set(err, 501,
		    "the virtxd of host '%s' (%s) has no tokens that are limited to some VMs",
		    str_or_empty(host->def.name), ret);
	else
		return 0;
	snprintf(err->host, sizeof(err->host), "%s", ret);
	if (req->route->scope == SCOPE_VM)
		snprintf(err->vm, sizeof(err->vm), "%.36s", req->param);
	return -1;
}

int
request_owner_check_self(const struct context *ctx, const char *host, struct error *err)
{
	const struct host *other;

	if (str_equal(host, inventory_self(ctx->inventory)))
		return 0;
	other = inventory_find_host(ctx->inventory, host);
	if (!other)
		return known_no_host(ctx, host, err);
	return error_set(err, 503,
	    "host '%s' (%s) is not active, and only its own virtxd can do this: serf says it is %s",
	    str_or_empty(other->def.name), host, enum_word(&cstate_enum, other->cstate));
}
