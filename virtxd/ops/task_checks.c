/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is looked at before a task begins. */
#include "ops/context.h"
#include "ops/known.h"
#include "ops/task.h"
#include "proto/json.h"

int
task_find_vm(struct context *ctx, struct request *req)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, req->param);
	struct error err = { 0 };

	if (view && view->local)
		return 0;
	if (!view) {
		known_reply_no_vm(ctx, req);
		return -1;
	}
	error_set(&err, 503, "VM '%s' has left this host, and its new one has not told of it yet",
	    req->param);
	request_reply_error(req, &err);
	return -1;
}

enum task_need
task_need_of(unsigned int leases)
{
	return leases > 0 ? TASK_NEEDS_LOCKSPACE : TASK_NEEDS_STORAGE;
}

int
task_ready(struct context *ctx, enum task_need need, struct error *err)
{
	const char *storage = keeper_storage_why(ctx->keeper);
	const char *lockspace = keeper_lockspace_why(ctx->keeper);
	struct ready ready = { 0 };
	int r = 0;

	ctx->host_ops->ready(ctx->host_arg, &ready);
	if (!str_empty(ready.libvirt))
		r = error_set(err, 503, "libvirt: %s", ready.libvirt);
	else if (str_empty(inventory_self(ctx->inventory)))
		r = error_set(err, 503, "libvirt has not told this host's uuid yet");
	else if (need >= TASK_NEEDS_STORAGE && !str_empty(storage))
		r = error_set(err, 503, "storage: %s", storage);
	else if (need >= TASK_NEEDS_LOCKSPACE && !str_empty(lockspace))
		r = error_set(err, 503, "lockspace: %s", lockspace);
	model_clear(&ready_model, &ready);
	return r;
}

int
task_check_ready(struct context *ctx, struct request *req, enum task_need need)
{
	struct error err = { 0 };

	if (task_ready(ctx, need, &err) == 0)
		return 0;
	request_reply_error(req, &err);
	return -1;
}

static int
read_by(int (*decode)(const struct model *, const char *, size_t, void *, struct error *),
    struct request *req, void *obj)
{
	struct error err = { 0 };

	if (decode(req->route->request, req->body, req->body_len, obj, &err) == 0)
		return 0;
	request_reply_error(req, &err);
	return -1;
}

int
task_read(struct request *req, void *obj)
{
	return read_by(json_decode_request, req, obj);
}

int
task_read_exact(struct request *req, void *obj)
{
	return read_by(json_decode_exact, req, obj);
}
