/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/known.h"

#include <stdio.h>

#include "ops/context.h"
#include "state/caller.h"

int
known_check(const struct context *ctx, char **ret_missing, struct error *err)
{
	return ctx->host_ops->known(ctx->host_arg, ret_missing, err);
}

void
known_refuse(struct request *req, const struct error *err)
{
	static const struct request_header later = { "Retry-After", "1" };

	request_reply_error_full(req, err, &later, 1);
}

/* Where it is open whether a host has the VM, in words; the caller frees. NULL for nowhere. */
static char *
undecided_text(const struct context *ctx, const char *vm)
{
	const char *host = inventory_find_undecided(ctx->inventory, vm);

	if (!host)
		return NULL;
	if (str_equal(host, inventory_self(ctx->inventory)))
		return xstrdup("it is off here, and whether it is another host's is found out");
	return xasprintf("host '%s' finds out whether it is its own", host);
}

/* Sets err: no VM is known, 404, or 503 while that may change. */
static void
no_vm(const struct context *ctx, const struct caller *caller, const char *vm, struct error *err)
{
	_free_ char *missing = NULL, *undecided = NULL, *behind = NULL;
	const char *why;

	if (known_check(ctx, &missing, err) < 0)
		return;
	/* Who sees some VMs alone is not told that there is another one. */
	if (!(caller && caller_is_limited(caller)))
		undecided = undecided_text(ctx, vm);
	behind = ctx->host_ops->behind(ctx->host_arg);
	why = undecided ? undecided : str_empty(missing) ? behind : missing;
	if (why)
		error_set(err, 503, "VM '%s' is not known; %s", vm, why);
	else
		error_set(err, 404, "no VM '%s' is known", vm);
	if (error_is(err, ERROR_UNAVAILABLE))
		snprintf(err->vm, sizeof(err->vm), "%.36s", vm);
}

void
known_reply_no_vm(const struct context *ctx, struct request *req)
{
	struct error err = { 0 };

	no_vm(ctx, req->caller, req->param, &err);
	if (error_is(&err, ERROR_UNAVAILABLE))
		known_refuse(req, &err);
	else
		request_reply_error(req, &err);
}

void
known_judge_lost(
    const struct context *ctx, const struct request *req, const char *vm, struct error *err)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm);
	struct error now = { 0 };

	if (!view)
		no_vm(ctx, req->caller, vm, &now);
	else if (view->local)
		error_set(&now, 503, "whether another host has it is not known yet");
	else if (str_equal(view->vm.runinfo.host, inventory_self(ctx->inventory)))
		error_set(&now, 503, "it has left, and its new host has not told of it yet");
	else
		error_set(&now, 503, "it is with host '%s'", str_or_empty(view->vm.runinfo.host));
	if (!error_is(&now, ERROR_UNAVAILABLE))
		return;
	error_append(err, "%s", now.detail);
	err->status = 503;
	err->type = ERROR_BY_STATUS;
}

int
known_no_host(const struct context *ctx, const char *uuid, struct error *err)
{
	_free_ char *missing = NULL;
	struct error cause = { 0 };

	if (known_check(ctx, &missing, &cause) < 0)
		return error_set(err, 503, "host '%s' is not known; %s", uuid, cause.detail);
	error_set(err, 404, "no host '%s' is known", uuid);
	if (!str_empty(missing))
		error_append(err, "%s", missing);
	return -1;
}
