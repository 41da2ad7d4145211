/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "api/handlers.h"
#include "api/limits.h"
#include "api/list_reply.h"
#include "api/query.h"
#include "loop/timer.h"
#include "ops/context.h"
#include "ops/known.h"
#include "proto/json.h"
#include "proto/vmdef.h"

/* How long a VM that has just come may have its definition read, and how often that is looked for.
 */
#define READ_MS	     3000
#define READ_LOOK_MS 20

/* A question for a VM of which not all is known yet. */
struct early {
	struct context *ctx;
	struct request *req;
	struct timer *look;
	int64_t due; /* monotonic ms */
};

void
api_vm_list(struct context *ctx, struct request *req)
{
	struct vm_list_options options = { 0 };
	_free_ char *missing = NULL;
	struct list_page page = { 0 };
	struct error err = { 0 };

	if (query_read(req, &vm_list_options_model, &options, &page, &err) < 0) {
		request_reply_error(req, &err);
	} else if (known_check(ctx, &missing, &err) < 0) {
		known_refuse(req, &err);
	} else {
		page.only = limits_field(req);
		list_reply_send(ctx->list_replies, req, &options, &page, missing);
	}
	model_clear(&vm_list_options_model, &options);
}

/* NULL after the error was sent. */
static const struct inventory_vm *
find(struct context *ctx, struct request *req)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, req->param);

	if (!view)
		known_reply_no_vm(ctx, req);
	return view;
}

/* Whether all is known that is told of a VM, or is not to be had; foreign ones are not measured. */
static bool
is_known(const struct inventory_vm *view)
{
	return view->whole && (view->sizes != DISK_SIZES_UNREAD || view->foreign || !view->local);
}

/* Whether there is nothing false in what would be told: a size from before is as good as any, as
 * its disk may grow the moment after, but none is no size. */
static bool
has_sizes(const struct inventory_vm *view)
{
	const struct disk *disk;

	for (size_t i = 0; view->whole && (disk = vmdef_disk(&view->vm.def, i)); i++) {
		if (!str_empty(disk->path) && disk->size == 0)
			return false;
	}
	return view->whole;
}

static void
reply_too_early(struct request *req, const struct inventory_vm *view)
{
	static const struct request_header later[] = { { "Retry-After", "1" } };
	struct error err = { 0 };

	if (view->whole)
		error_set(&err, 503,
		    "the sizes of the disks of VM '%s' are not known yet: they are being read",
		    req->param);
	else
		error_set(&err, 503,
		    "the definition of VM '%s' is not known yet: it has just come here",
		    req->param);
	snprintf(err.vm, sizeof(err.vm), "%.36s", req->param);
	request_reply_error_full(req, &err, later, 1);
}

/* With the tag of its definition, which an update may name. */
static void
reply_vm(struct request *req, const struct vm *vm)
{
	char tag[VMDEF_TAG_SIZE];
	const struct request_header header = { "ETag", tag };
	size_t len;
	char *json = json_encode(&vm_model, vm, &len);

	vmdef_tag(&vm->def, tag);
	request_reply_json(req, 200, json, len, &header, 1);
}

static void
early_free(struct early *early)
{
	timer_free(early->look);
	free(early);
}

static void
early_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct early *early = arg;

	request_reply_error(early->req, &none);
	early_free(early);
}

static const struct request_watch early_watch = { .gone = early_gone };

static void
early_look(void *arg)
{
	struct early *early = arg;
	struct request *req = early->req;
	const struct inventory_vm *view = inventory_find_vm(early->ctx->inventory, req->param);

	if (view && !is_known(view) && monotonic_ms() < early->due)
		return;
	if (!view)
		(void)find(early->ctx, req);
	else if (is_known(view) || has_sizes(view))
		reply_vm(req, &view->vm);
	else
		reply_too_early(req, view);
	early_free(early);
}

void
api_vm_get(struct context *ctx, struct request *req)
{
	const struct inventory_vm *view = find(ctx, req);
	struct early *early;

	if (!view)
		return;
	if (is_known(view)) {
		reply_vm(req, &view->vm);
		return;
	}
	early = xcalloc(1, sizeof(*early));
	early->ctx = ctx;
	early->req = req;
	early->due = monotonic_ms() + READ_MS;
	early->look = timer_new(ctx->base, early_look, early);
	timer_every(early->look, READ_LOOK_MS);
	request_set_watch(req, &early_watch, early);
}

void
api_vm_runstate_get(struct context *ctx, struct request *req)
{
	const struct inventory_vm *view = find(ctx, req);
	struct vmruninfo info;

	if (!view)
		return;
	info = inventory_told_runinfo(view);
	request_reply_model(req, 200, &vmruninfo_model, &info);
}
