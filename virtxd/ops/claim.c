/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/claim.h"

#include <stdio.h>

#include "loop/timer.h"
#include "ops/admission.h"
#include "ops/context.h"
#include "ops/failover_proof.h"
#include "ops/host_maintenance.h"
#include "ops/known.h"
#include "ops/own_boot.h"
#include "ops/recovery.h"
#include "ops/task.h"
#include "proto/log.h"

#define TRIES_MS 120000 /* for how long a boot is tried again */
#define RETRY_MS 5000

/* From the request to the end of the boot. */
struct claim_order {
	LIST_ENTRY(claim_order) link;
	struct context *ctx;
	char vm[UUID_TEXT_SIZE];
	char *user;
	struct timer *retry;
	int64_t give_up; /* monotonic ms, the boot is not tried again after */
};

static void
order_free(struct claim_order *order)
{
	LIST_REMOVE(order, link);
	timer_free(order->retry);
	free(order->user);
	free(order);
}

static void
on_booted(void *arg, const struct error *err)
{
	struct claim_order *order = arg;

	if (own_boot_may_succeed(err) && monotonic_ms() < order->give_up) {
		timer_start(order->retry, RETRY_MS);
		return;
	}
	if (!own_boot_is_done(err)) {
		log_warning(
		    "ops", "VM '%s', which is this host's now, is off: %s", order->vm, err->detail);
		inventory_set_unstarted(order->ctx->inventory, order->vm, err->detail);
	}
	order_free(order);
}

static const struct task_owner boot_owner = { .ended = on_booted };

static bool
is_to_be_booted(const struct claim_order *order)
{
	const struct inventory_vm *view = inventory_find_vm(order->ctx->inventory, order->vm);

	return view && view->local && view->recorded && view->vm.want == WANT_ON &&
	       recovery_is_off(view->vm.runinfo.runstate);
}

/* Somebody may have booted it meanwhile, or want it off. */
static void
boot(void *arg)
{
	struct claim_order *order = arg;

	if (is_to_be_booted(order))
		own_boot_start_for(order->ctx, order->vm, order->user, &boot_owner, order);
	else
		order_free(order);
}

static void
on_claimed(void *arg, const struct error *err)
{
	struct claim_order *order = arg;

	order->give_up = monotonic_ms() + TRIES_MS;
	if (!err)
		boot(order);
	else
		order_free(order);
}

static const struct task_owner claim_owner = { .ended = on_claimed };

/* The host that has the VM, by what is known of it; "" where that is for the registry to tell. */
static int
find_owner(struct context *ctx, const char *vm, const char **ret, struct error *err)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, vm);
	const char *host = view && !view->local ? str_or_empty(view->vm.runinfo.host) : "";

	*ret = host;
	if (view && view->local)
		return error_set(err, 409, "VM '%s' is on this host already", vm);
	/* It ends itself where another host has one of its VMs. */
	if (*host && inventory_has_told(ctx->inventory, host) &&
	    !inventory_tells_digest(ctx->inventory, host))
		return error_set(err, 409,
		    "host '%s' runs another virtxd, which does not let others have its VMs", host);
	return 0;
}

/* The hosts that are not alive by serf; none where it is not asked. */
static void
list_away(struct context *ctx, struct vm_claim_request *request)
{
	static const struct host_list_fields all;
	struct host_list hosts = { 0 };
	struct ready ready = { 0 };

	ctx->host_ops->ready(ctx->host_arg, &ready);
	if (str_empty(ready.serf))
		inventory_list_hosts(ctx->inventory, &all, NULL, &hosts);
	for (size_t i = 0; i < hosts.n_items; i++) {
		enum cstate cstate = hosts.items[i].fields.cstate;

		if (cstate == CSTATE_LEFT || cstate == CSTATE_FAILED)
			model_append(&request->away, &request->n_away)->uuid =
			    xstrdup(hosts.items[i].uuid);
	}
	model_clear(&host_list_model, &hosts);
	model_clear(&ready_model, &ready);
}

/* Whether a watchdog has reset the host by when its leases are free here: 0, or -1 with why not.
 * Else a QEMU that runs there without leases is known to nobody. */
static int
check_reset(const struct context *ctx, const char *uuid, struct error *err)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);
	struct host_ha there, here;

	if (!host)
		return error_set(err, 409, "nothing is known of that host here");
	inventory_get_ha(ctx->inventory, uuid, &there);
	inventory_get_ha(ctx->inventory, inventory_self(ctx->inventory), &here);
	if (failover_check_pair(&there, &here, err) < 0)
		return -1;
	return host->watchdog == WATCHDOG_ON ? 0 : error_set(err, 409, "it had no watchdog");
}

/* What is true only if somebody has made sure of it, "" where it is so without that; the
 * caller's. */
static char *
describe_unproved(const struct context *ctx, const char *vm, const char *uuid)
{
	const struct host *host = inventory_find_host(ctx->inventory, uuid);
	_buffer_ struct buffer out = { 0 };
	struct error why = { 0 };

	if (check_reset(ctx, uuid, &why) == 0)
		return xstrdup("");
	buffer_printf(
	    &out, "nothing here proves that VM '%s' has ended on the host that had it", vm);
	if (*uuid)
		buffer_printf(&out, ", '%s'", uuid);
	if (host)
		buffer_printf(&out, " (serf says %s, heard of last %lld s ago)",
		    enum_word(&cstate_enum, host->cstate), (long long)(now_ms() - host->ts) / 1000);
	buffer_printf(&out,
	    ": %s; that host has to be powered off, else the VM may run twice and destroy its "
	    "disks",
	    why.detail);
	return buffer_steal(&out, NULL);
}

/* Another host may have it where this one has no room. */
static void
add_room(struct context *ctx, struct vm_claim_request *request)
{
	const struct host *self =
	    inventory_find_host(ctx->inventory, inventory_self(ctx->inventory));
	struct host_figures figures;

	/* Nothing is known of it yet. */
	if (!self || self->resources.memory.total <= 0 ||
	    !admission_find_figures(ctx, inventory_self(ctx->inventory), &figures))
		return;
	request->bounded = true;
	request->memory = figures.memory;
	request->hugepages = figures.hp;
}

static int
check(struct context *ctx, struct error *err)
{
	_free_ char *missing = NULL;

	/* Who is away is known by then, too. */
	if (known_check(ctx, &missing, err) < 0 || task_ready(ctx, TASK_NEEDS_LOCKSPACE, err) < 0)
		return -1;
	return host_maintenance_check_open(ctx, err);
}

static void
start(struct context *ctx, struct request *req, const struct vm_claim_request *request)
{
	static const struct task_place here = { .why = "" };
	struct claim_order *order = xcalloc(1, sizeof(*order));
	struct error err = { 0 };
	struct task *task;

	order->ctx = ctx;
	order->user = xstrdup(req->user);
	order->retry = timer_new(ctx->base, boot, order);
	snprintf(order->vm, sizeof(order->vm), "%.36s", req->param);
	LIST_INSERT_HEAD(&ctx->claim_orders, order, link);
	task = task_open(ctx, req->route->id, req, req->user, order->vm, &claim_owner, order, &err);
	if (!task) {
		order_free(order);
		return;
	}
	task_set_caution(task, request->unproved);
	if (task_work(task, WORK_VM_CLAIM, request, &here, &err) < 0)
		task_fail(task, &err);
}

void
claim_start(struct context *ctx, struct request *req, enum claim_recall recall)
{
	struct vm_claim_request request = {
		.or_fail = true, .doubt = recall == CLAIM_RECALL_NONE, .recall = recall
	};
	const char *from;
	struct error err = { 0 };

	if (check(ctx, &err) < 0 || find_owner(ctx, req->param, &from, &err) < 0) {
		request_reply_error(req, &err);
		return;
	}
	request.uuid = xstrdup(req->param);
	request.from = xstrdup(from);
	request.unproved = describe_unproved(ctx, req->param, from);
	list_away(ctx, &request);
	add_room(ctx, &request);
	start(ctx, req, &request);
	model_clear(&vm_claim_request_model, &request);
}

void
claims_free(struct context *ctx)
{
	while (!LIST_EMPTY(&ctx->claim_orders))
		order_free(LIST_FIRST(&ctx->claim_orders));
}
