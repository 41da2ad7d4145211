/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/limits.h"

#include <string.h>

#include "ops/context.h"
#include "ops/known.h"

static bool
is_limited(const struct request *req)
{
	return req->caller && caller_is_limited(req->caller);
}

bool
limits_sees_vm(const struct context *ctx, const struct request *req, const char *uuid)
{
	const struct inventory_vm *view;

	if (!is_limited(req))
		return true;
	view = inventory_find_vm(ctx->inventory, str_or_empty(uuid));
	return view && caller_sees(req->caller, &view->vm.def);
}

bool
limits_sees_operation(
    const struct context *ctx, const struct request *req, const struct operation *operation)
{
	/* The VM of one may be gone. */
	return limits_sees_vm(ctx, req, operation->vm) || str_equal(operation->user, req->user);
}

int
limits_check_vm(const struct context *ctx, struct request *req)
{
	if (strncmp(req->route->path, "/vms/{uuid}", strlen("/vms/{uuid}")) != 0 ||
	    limits_sees_vm(ctx, req, req->param))
		return 0;
	known_reply_no_vm(ctx, req);
	return -1;
}

int
limits_check_def(const struct request *req, const struct vmdef *def, struct error *err)
{
	if (!is_limited(req) || caller_keeps(req->caller, def))
		return 0;
	return error_set_type(err, ERROR_ROLE,
	    "vmdef.custom: '%s' may have VMs with the custom field '%s' of the value '%s' alone",
	    req->user, req->caller->only_name, req->caller->only_value);
}

struct custom_field
limits_field(const struct request *req)
{
	if (!is_limited(req))
		return (struct custom_field){ 0 };
	return (
	    struct custom_field){ (char *)req->caller->only_name, (char *)req->caller->only_value };
}
