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

void
known_reply_no_vm(const struct context *ctx, struct request *req)
{
	_free_ char *missing = NULL, *undecided = NULL;
	struct error err = { 0 };

	if (known_check(ctx, &missing, &err) < 0) {
		known_refuse(req, &err);
		return;
	}
	/* Who sees some VMs alone is not told that there is another one. */
	if (!(req->caller && caller_is_limited(req->caller)))
		undecided = undecided_text(ctx, req->param);
	if (!str_empty(missing) || undecided) {
		error_set(&err, 503, "VM '%s' is not known; %s", req->param,
		    undecided ? undecided : missing);
		snprintf(err.vm, sizeof(err.vm), "%.36s", req->param);
		known_refuse(req, &err);
		return;
	}
	error_set(&err, 404, "no VM '%s' is known", req->param);
	request_reply_error(req, &err);
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
