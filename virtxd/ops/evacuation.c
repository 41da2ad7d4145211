/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/evacuation.h"

#include <stdio.h>
#include <string.h>

#include "ops/migration.h"
#include "state/placement.h"

struct evacuees {
	const struct inventory_vm **views;
	size_t n;
};

static void
add(void *arg, const struct inventory_vm *view, bool def_known, bool disks_known)
{
	struct evacuees *evacuees = arg;

	*model_append(&evacuees->views, &evacuees->n) = view;
}

/* What is large is placed while there is most room. */
static int
compare(const void *a, const void *b)
{
	const struct vm *x = &(*(const struct inventory_vm *const *)a)->vm;
	const struct vm *y = &(*(const struct inventory_vm *const *)b)->vm;
	int32_t mx = x->def.memory.total, my = y->def.memory.total;

	return mx != my ? (mx < my) - (mx > my) : strcmp(x->uuid, y->uuid);
}

static void
find_all(struct context *ctx, struct evacuees *ret)
{
	inventory_each_local(ctx->inventory, add, ret);
	if (ret->n > 0)
		qsort(ret->views, ret->n, sizeof(*ret->views), compare);
}

char (*evacuation_vms(struct context *ctx, size_t *n))[UUID_TEXT_SIZE]
{
	struct evacuees evacuees = { 0 };
	char(*vms)[UUID_TEXT_SIZE] = NULL;

	*n = 0;
	find_all(ctx, &evacuees);
	for (size_t i = 0; i < evacuees.n; i++)
		snprintf(*model_append(&vms, n), sizeof(*vms), "%s", evacuees.views[i]->vm.uuid);
	free(evacuees.views);
	return vms;
}

static const struct vm_stay *
find_stay(const struct vm_stays_result *stays, const char *vm)
{
	for (size_t i = 0; i < stays->n_vms; i++) {
		if (str_equal(stays->vms[i].uuid, vm))
			return &stays->vms[i];
	}
	return NULL;
}

void
evacuation_plan(
    struct context *ctx, const struct vm_stays_result *stays, struct maintenance_plan *ret)
{
	struct planner *planner = planner_new(ctx->inventory);
	struct evacuees evacuees = { 0 };

	find_all(ctx, &evacuees);
	for (size_t i = 0; i < evacuees.n; i++) {
		const struct vm *vm = &evacuees.views[i]->vm;
		struct placement_need need = {
			.vm = vm->uuid,
			.from = inventory_self(ctx->inventory),
			.def = &vm->def,
		};
		struct placement *item = model_append(&ret->items, &ret->n_items);
		const struct vm_stay *stay = find_stay(stays, vm->uuid);
		struct error ignored;

		/* Why there is none is in the plan. */
		if (!stay) {
			(void)planner_place(planner, &need, item, &ignored);
			continue;
		}
		item->vm = xstrdup(vm->uuid);
		item->host = xstrdup("");
		item->reason = xstrdup(stay->why);
	}
	free(evacuees.views);
	planner_free(planner);
}

/* It is tried once more: with another host, where there is one. */
static void
failed(struct move *move, const struct error *err)
{
	bool not_now = error_is(err, ERROR_UNAVAILABLE) && str_empty(move->host);
	_free_ char *both = NULL;

	/* libvirt does not have it: it left unseen, while virtxd was started, say. The inventory
	 * will know. */
	if (not_now || error_is(err, ERROR_BUSY) || error_is(err, ERROR_NOT_FOUND)) {
		move_wait(move, err->detail);
	} else if (!move->failure) {
		snprintf(move->failed, sizeof(move->failed), "%s", move->host);
		str_set(&move->failure, err->detail);
		move_again(move, err->detail);
	} else if (str_equal(move->failure, err->detail)) {
		move_stay(move, err->detail);
	} else {
		both = xasprintf("%s; %s", move->failure, err->detail);
		move_stay(move, both);
	}
}

static void
on_moved(void *arg, const char *host, const struct error *err)
{
	struct move *move = arg;

	snprintf(move->host, sizeof(move->host), "%s", host);
	if (err)
		failed(move, err);
	else
		move_done(move, move->host);
}

/* A host for the VM as things are now: "" where there is none, and the reason. */
static void
place(struct context *ctx, const struct move *move, const struct vm *vm, struct placement *ret)
{
	struct planner *planner = planner_new(ctx->inventory);
	struct placement_excluded tried = { move->failed, str_or_empty(move->failure) };
	struct placement_need need = {
		.vm = move->vm,
		.from = inventory_self(ctx->inventory),
		.def = &vm->def,
		.excluded = &tried,
		.n_excluded = !str_empty(move->failed),
		.brief = true,
	};
	struct error ignored;

	if (planner_place(planner, &need, ret, &ignored) < 0 && need.n_excluded > 0) {
		model_clear(&placement_model, ret);
		need.n_excluded = 0;
		(void)planner_place(planner, &need, ret, &ignored);
	}
	planner_free(planner);
}

/* One that came by a migration is not all here before that is recorded. */
static bool
is_arriving(const struct vm *vm)
{
	const struct oplog_list *oplog = &vm->stats.oplog;

	for (size_t i = 0; i < oplog->n_items; i++) {
		if (str_equal(oplog->items[i].op, "VmMigrate") &&
		    str_equal(oplog->items[i].status, "started"))
			return true;
	}
	return false;
}

static void
start_to(struct context *ctx, const char *user, struct move *move, const struct vm *vm,
    const struct placement *placement)
{
	bool off = vm->runinfo.runstate == VMRUNSTATE_POWEROFF ||
		   vm->runinfo.runstate == VMRUNSTATE_CRASHED;
	struct vm_migrate_options options = {
		.host = placement->host,
		.migration_type = off ? MIGRATION_TYPE_COLD : MIGRATION_TYPE_LIVE,
	};
	_free_ char *why = xasprintf("placed on %s", placement->reason);
	struct error err = { 0 };
	const char *operation;

	move_begin(move, placement->host);
	operation = migration_begin(ctx, move->vm, &options, why, user, on_moved, move, &err);
	if (operation)
		snprintf(move->operation, sizeof(move->operation), "%s", operation);
	else if (error_is(&err, ERROR_UNAVAILABLE))
		move_wait(move, err.detail);
	else
		failed(move, &err);
}

void
evacuation_start(struct context *ctx, const char *user, struct move *move)
{
	const struct inventory_vm *view = inventory_find_vm(ctx->inventory, move->vm);
	struct placement placement = { 0 };
	enum vmrunstate runstate;
	char reason[64];

	/* It has left by itself, or is no more. */
	if (!view || !view->local) {
		move_done(move, view ? view->vm.runinfo.host : "");
		return;
	}
	runstate = view->vm.runinfo.runstate;
	if (is_arriving(&view->vm)) {
		move_wait(move, "an earlier migration of it is not over");
		return;
	}
	if (jobs_busy(ctx->jobs, move->vm)) {
		move_wait(move, "another operation on it is under way");
		return;
	}
	if (runstate == VMRUNSTATE_STARTUP || runstate == VMRUNSTATE_MIGRATING ||
	    runstate == VMRUNSTATE_TERMINATING || runstate == VMRUNSTATE_NONE) {
		snprintf(reason, sizeof(reason), "it is %s", enum_word(&vmrunstate_enum, runstate));
		move_wait(move, reason);
		return;
	}
	place(ctx, move, &view->vm, &placement);
	if (str_empty(placement.host))
		move_stay(move, placement.reason);
	else
		start_to(ctx, user, move, &view->vm, &placement);
	model_clear(&placement_model, &placement);
}
