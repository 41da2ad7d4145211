/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/loss_plan.h"

#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/failover_vms.h"
#include "proto/ha.h"
#include "proto/uuid.h"
#include "state/filter.h"
#include "state/placement.h"

#define LOOK_MS	  60000
#define NAMES_MAX 5 /* of VMs in a warning */

/* All hosts, one after the other. */
struct pass {
	LIST_ENTRY(pass) link;
	struct loss_planner *planner;
	struct request *req; /* NULL: it is the look of each minute */
	struct custom_field only;
	struct timer *timer;
	struct host_list hosts;
	size_t next; /* of hosts */
	struct ha_plan plan;
	/* Of what would be worse: */
	loss_planned planned;	      /* NULL: the plan itself is the answer */
	char without[UUID_TEXT_SIZE]; /* the host that takes no VMs */
	size_t more;		      /* VMs that would not come back */
	struct buffer names;	      /* the first of them, in words */
};

struct loss_planner {
	struct context *ctx;
	struct timer *timer;
	struct loss_outlook outlook;
	LIST_HEAD(, pass) passes;
	size_t n_passes;
};

/* One host */

/* A VM that is to be brought back, borrowed from the inventory. */
struct homeless {
	const struct vm *vm;
	struct vmdef def; /* with the vCPUs that are known of it */
	bool restarts;
};

struct found {
	struct homeless *vms;
	size_t n;
};

struct search {
	const struct inventory *inventory;
	const char *host;
	bool otherwise;
	bool all; /* those that stay off, too */
	struct found found;
};

static void
find_one(void *arg, const struct inventory_vm *view)
{
	struct search *search = arg;
	struct found *found = &search->found;
	struct homeless *vm;
	bool wanted = view->vm.want == WANT_ON && (!view->local || view->recorded);

	bool restarts = wanted && ha_restarts(&view->vm.def, search->otherwise);

	if (!restarts && !search->all)
		return;
	found->vms = xrealloc(found->vms, found->n + 1, sizeof(*found->vms));
	vm = &found->vms[found->n++];
	vm->vm = &view->vm;
	vm->restarts = restarts;
	vm->def = view->vm.def;
	if (!view->local)
		vm->def.cpudef =
		    (struct cpudef){ .sockets = 1, .cores = view->vcpus, .threads = 1 };
}

/* The order in which VMs leave a host, see ops/evacuation.c. */
static int
compare_size(const void *a, const void *b)
{
	const struct homeless *x = a, *y = b;
	int32_t xm = x->def.memory.total, ym = y->def.memory.total;

	return xm != ym ? (xm < ym) - (xm > ym) : strcmp(x->vm->uuid, y->vm->uuid);
}

/* As work/host_vms.c has it. */
static int
compare(const void *a, const void *b)
{
	const struct homeless *x = a, *y = b;
	int order = ha_order(&x->def) - ha_order(&y->def);

	return order ? order : compare_size(a, b);
}

static void
find(struct search *search, int (*order)(const void *, const void *))
{
	struct found *found = &search->found;

	inventory_each_of(search->inventory, search->host, find_one, search);
	if (found->n > 0)
		qsort(found->vms, found->n, sizeof(*found->vms), order);
}

/* The VMs of that host go where there is room; those that come to the lost one are its own. */
static void
empty(struct planner *planner, const char *without, struct search *lost)
{
	struct search leaving = {
		.inventory = lost->inventory,
		.host = without,
		.otherwise = lost->otherwise,
		.all = true,
	};

	find(&leaving, compare_size);
	for (size_t i = 0; i < leaving.found.n; i++) {
		const struct homeless *vm = &leaving.found.vms[i];
		const struct placement_need need = {
			.vm = vm->vm->uuid,
			.from = without,
			.target = "",
			.def = &vm->def,
			.brief = true,
		};
		struct placement placement = { 0 };
		struct error ignored;

		(void)planner_place(planner, &need, &placement, &ignored);
		if (vm->restarts && str_equal(str_or_empty(placement.host), lost->host))
			*model_append(&lost->found.vms, &lost->found.n) = *vm;
		model_clear(&placement_model, &placement);
	}
	free(leaving.found.vms);
}

/* Whether any host takes VMs over by itself. */
static bool
any_takes(const struct inventory *inventory, const struct host_list *hosts)
{
	struct host_ha ha;

	for (size_t i = 0; i < hosts->n_items; i++) {
		inventory_get_ha(inventory, hosts->items[i].uuid, &ha);
		if (ha.armed && !inventory_is_ha_off(inventory, hosts->items[i].uuid))
			return true;
	}
	return false;
}

/* Why the host claims nothing, NULL where it does. */
static const char *
why_idle(const struct inventory *inventory, const char *uuid, const char *without, bool none_takes)
{
	struct host_ha ha;

	inventory_get_ha(inventory, uuid, &ha);
	if (!ha.armed)
		return "it is not armed";
	if (!none_takes && inventory_is_ha_off(inventory, uuid))
		return "[ha] enabled says no there";
	return str_equal(uuid, without) ? "it takes no VMs" : NULL;
}

/* Those that are not armed claim nothing, nor do those that have [ha] enabled off. Where all have
 * that, the plan is what would be without it. *any: another host than the lost one claims. */
static struct placement_excluded *
find_idle(
    const struct inventory *inventory, const char *lost, const char *without, size_t *n, bool *any)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	struct placement_excluded *excluded = NULL;
	struct host_list hosts = { 0 };
	bool none_takes;

	inventory_list_hosts(inventory, &active, NULL, &hosts);
	none_takes = !any_takes(inventory, &hosts);
	*n = 0;
	*any = false;
	for (size_t i = 0; i < hosts.n_items; i++) {
		const char *uuid = hosts.items[i].uuid;
		const char *why = why_idle(inventory, uuid, without, none_takes);

		if (!why) {
			*any |= !str_equal(uuid, lost);
			continue;
		}
		excluded = xrealloc(excluded, *n + 1, sizeof(*excluded));
		excluded[(*n)++] = (struct placement_excluded){
			inventory_find_host(inventory, uuid)->uuid,
			why,
		};
	}
	model_clear(&host_list_model, &hosts);
	return excluded;
}

struct first {
	const char *vm;
	const char *host; /* NULL: none yet */
};

static void
take_first(void *arg, const char *host)
{
	struct first *first = arg;

	if (!first->host || failover_is_before(first->vm, host, first->host))
		first->host = host;
}

/* The host that would be the first to claim it, in whose figures it counts then; else why there is
 * none. */
static void
place(struct planner *planner, struct placement_need *need, struct placement *ret)
{
	struct first first = { .vm = need->vm };
	struct error ignored = { 0 };

	planner_each_feasible(planner, need, take_first, &first);
	need->target = first.host ? first.host : "";
	planner_place(planner, need, ret, &ignored);
}

static void
tell(struct ha_plan_host *ret, const struct homeless *vm, const char *host, const char *reason)
{
	struct ha_plan_vm *told = model_append(&ret->vms, &ret->n_vms);

	if (str_empty(host))
		ret->stranded++;
	else
		ret->restarts++;
	*told = (struct ha_plan_vm){
		.vm = xstrdup(vm->vm->uuid),
		.name = xstrdup(vm->def.name),
		.order = (int16_t)ha_order(&vm->def),
		.memory = vm->def.memory.total,
		.hp = vm->def.memory.hp,
		.host = xstrdup(host),
		.reason = xstrdup(reason),
	};
}

/* Why none of the host's VMs is brought back, NULL where some may be. */
static const char *
why_none(const struct inventory *inventory, const char *host, bool any)
{
	struct host_ha ha;

	inventory_get_ha(inventory, host, &ha);
	if (!ha.armed)
		return "its host is not armed: nobody takes from it";
	return any ? NULL : "no other host is armed and takes VMs over";
}

/* without: a host that takes no VMs, and whose own are on others by then; "" for none. */
static void
plan_host(const struct inventory *inventory, const char *host, const char *without, bool otherwise,
    const struct custom_field *only, struct ha_plan_host *ret)
{
	const struct host *entry = inventory_find_host(inventory, host);
	struct search search = { .inventory = inventory, .host = host, .otherwise = otherwise };
	struct placement_need need = { .from = host, .brief = true };
	struct planner *planner = planner_new(inventory);
	_free_ struct placement_excluded *idle = NULL;
	const char *none;
	bool any;

	idle = find_idle(inventory, host, without, &need.n_excluded, &any);
	need.excluded = idle;
	none = why_none(inventory, host, any);
	ret->host = xstrdup(host);
	ret->name = xstrdup(entry ? entry->def.name : "");
	if (!str_empty(without))
		empty(planner, without, &search);
	find(&search, compare);
	for (size_t i = 0; i < search.found.n; i++) {
		const struct homeless *vm = &search.found.vms[i];
		struct placement placement = { 0 };
		const char *why = vm->def.memory.total <= 0 ? "its memory is not known here" : none;

		need.vm = vm->vm->uuid;
		need.target = "";
		need.def = &vm->def;
		if (!why)
			place(planner, &need, &placement);
		if (str_empty(only->name) || filter_custom(&vm->def, only))
			tell(ret, vm, str_or_empty(placement.host), why ? why : placement.reason);
		model_clear(&placement_model, &placement);
	}
	free(search.found.vms);
	planner_free(planner);
}

void
loss_plan_host(const struct inventory *inventory, const char *host, bool otherwise,
    const struct custom_field *only, struct ha_plan_host *ret)
{
	plan_host(inventory, host, "", otherwise, only, ret);
}

/* All hosts */

static void
pass_free(struct pass *pass)
{
	LIST_REMOVE(pass, link);
	pass->planner->n_passes--;
	timer_free(pass->timer);
	model_clear(&host_list_model, &pass->hosts);
	model_clear(&ha_plan_model, &pass->plan);
	buffer_clear(&pass->names);
	free(pass);
}

/* Of many hosts those VMs are of interest that would not come back. */
static void
drop_placed(struct ha_plan_host *item)
{
	size_t n = 0;

	for (size_t i = 0; i < item->n_vms; i++) {
		if (str_empty(item->vms[i].host))
			item->vms[n++] = item->vms[i];
		else
			model_clear(&ha_plan_vm_model, &item->vms[i]);
	}
	item->n_vms = n;
}

static bool
is_stranded(const struct ha_plan_host *item, const char *vm)
{
	for (size_t i = 0; i < item->n_vms; i++) {
		if (str_equal(item->vms[i].vm, vm))
			return str_empty(item->vms[i].host);
	}
	return false;
}

/* Which VMs of the host come back now, and would not then. */
static void
compare_plans(struct pass *pass, const char *host)
{
	static const struct custom_field all;
	const struct context *ctx = pass->planner->ctx;
	struct ha_plan_host now = { 0 }, then = { 0 };

	if (str_equal(host, pass->without))
		return;
	loss_plan_host(ctx->inventory, host, ctx->config->ha_restart, &all, &now);
	plan_host(ctx->inventory, host, pass->without, ctx->config->ha_restart, &all, &then);
	for (size_t i = 0; i < then.n_vms; i++) {
		const struct ha_plan_vm *vm = &then.vms[i];

		if (!str_empty(vm->host) || is_stranded(&now, vm->vm))
			continue;
		if (pass->more++ < NAMES_MAX)
			buffer_printf(&pass->names, "%s'%s' of host '%s'",
			    pass->names.len ? ", " : "", vm->name, then.name);
	}
	model_clear(&ha_plan_host_model, &now);
	model_clear(&ha_plan_host_model, &then);
}

/* The caller's; NULL where nothing would be worse. */
static char *
worse_text(const struct pass *pass)
{
	const struct host *host = inventory_find_host(pass->planner->ctx->inventory, pass->without);

	if (pass->more == 0)
		return NULL;
	return xasprintf("while host '%s' takes no VMs, %zu VM%s more cannot be brought back if "
			 "the host dies that has %s: %s%s",
	    host ? str_or_empty(host->def.name) : pass->without, pass->more,
	    pass->more == 1 ? "" : "s", pass->more == 1 ? "it" : "them", pass->names.data,
	    pass->more > NAMES_MAX ? ", ..." : "");
}

static void
end_comparing(struct pass *pass)
{
	struct context *ctx = pass->planner->ctx;
	struct request *req = pass->req;
	loss_planned planned = pass->planned;

	request_set_watch(req, NULL, NULL);
	free(req->warning);
	req->warning = worse_text(pass);
	pass_free(pass);
	planned(ctx, req);
}

static void
end(struct pass *pass)
{
	struct request *req = pass->req;

	if (pass->planned) {
		end_comparing(pass);
		return;
	}
	if (!req) {
		pass->planner->outlook.known = true;
		pass->planner->outlook.possible = pass->plan.possible;
		pass->planner->outlook.stranded = 0;
		for (size_t i = 0; i < pass->plan.n_items; i++)
			pass->planner->outlook.stranded += (size_t)pass->plan.items[i].stranded;
	} else {
		request_set_watch(req, NULL, NULL);
		request_reply_model(req, 200, &ha_plan_model, &pass->plan);
	}
	pass_free(pass);
}

static void
on_slice(void *arg)
{
	struct pass *pass = arg;
	struct context *ctx = pass->planner->ctx;
	struct ha_plan_host *item;

	if (pass->next == pass->hosts.n_items) {
		end(pass);
		return;
	}
	if (pass->planned) {
		compare_plans(pass, pass->hosts.items[pass->next++].uuid);
		timer_start(pass->timer, 0);
		return;
	}
	item = model_append(&pass->plan.items, &pass->plan.n_items);
	loss_plan_host(ctx->inventory, pass->hosts.items[pass->next++].uuid,
	    ctx->config->ha_restart, &pass->only, item);
	drop_placed(item);
	pass->plan.possible &= item->stranded == 0;
	timer_start(pass->timer, 0);
}

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct pass *pass = arg;
	struct request *req = pass->req;

	pass_free(pass);
	request_reply_error(req, &none);
}

static const struct request_watch watch = { .gone = on_gone };

static struct pass *
pass_start(struct loss_planner *planner, struct request *req, const struct custom_field *only)
{
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	struct pass *pass = xcalloc(1, sizeof(*pass));

	pass->planner = planner;
	pass->req = req;
	pass->only = *only;
	pass->plan.possible = true;
	pass->plan.enabled = planner->ctx->config->ha_enabled;
	inventory_list_hosts(planner->ctx->inventory, &active, NULL, &pass->hosts);
	pass->timer = timer_new(planner->ctx->base, on_slice, pass);
	LIST_INSERT_HEAD(&planner->passes, pass, link);
	planner->n_passes++;
	if (req)
		request_set_watch(req, &watch, pass);
	timer_start(pass->timer, 0);
	return pass;
}

void
loss_planner_reply(
    struct loss_planner *planner, struct request *req, const struct custom_field *only)
{
	static const struct request_header later[] = { { "Retry-After", "1" } };
	struct error err = { 0 };

	if (planner->n_passes < LOSS_PASSES_MAX) {
		pass_start(planner, req, only);
		return;
	}
	error_set(
	    &err, 503, "%d plans for the loss of all hosts are worked on already", LOSS_PASSES_MAX);
	request_reply_error_full(req, &err, later, 1);
}

void
loss_planner_ask(
    struct context *ctx, struct request *req, const char *without, loss_planned planned)
{
	static const struct custom_field all;
	const struct host_list_fields active = { .cstate = CSTATE_ACTIVE };
	struct loss_planner *planner = ctx->loss_planner;
	struct host_list hosts = { 0 };
	struct pass *pass;
	bool takes;

	inventory_list_hosts(ctx->inventory, &active, NULL, &hosts);
	takes = any_takes(ctx->inventory, &hosts);
	model_clear(&host_list_model, &hosts);
	if (!takes) {
		planned(ctx, req);
	} else if (planner->n_passes == LOSS_PASSES_MAX) {
		req->warning = xasprintf("which VMs could not be brought back meanwhile is not "
					 "known: %d plans are worked on already",
		    LOSS_PASSES_MAX);
		planned(ctx, req);
	} else {
		pass = pass_start(planner, req, &all);
		pass->planned = planned;
		snprintf(pass->without, sizeof(pass->without), "%s", without);
	}
}

/* The look of each minute that is under way, NULL for none. */
static struct pass *
find_look(const struct loss_planner *planner)
{
	struct pass *pass;

	LIST_FOREACH (pass, &planner->passes, link) {
		if (!pass->req)
			return pass;
	}
	return NULL;
}

static void
on_look(void *arg)
{
	static const struct custom_field all;
	struct loss_planner *planner = arg;

	if (!find_look(planner))
		pass_start(planner, NULL, &all);
}

void
loss_planner_reload(struct loss_planner *planner)
{
	bool enabled = planner->ctx->config->ha_enabled;
	struct pass *look = find_look(planner);

	if (enabled == timer_is_started(planner->timer))
		return;
	if (enabled) {
		timer_every(planner->timer, LOOK_MS);
		return;
	}
	timer_stop(planner->timer);
	if (look)
		pass_free(look);
	planner->outlook = (struct loss_outlook){ 0 };
}

struct loss_planner *
loss_planner_new(struct context *ctx)
{
	struct loss_planner *planner = xcalloc(1, sizeof(*planner));

	planner->ctx = ctx;
	LIST_INIT(&planner->passes);
	planner->timer = timer_new(ctx->base, on_look, planner);
	loss_planner_reload(planner);
	return planner;
}

void
loss_planner_free(struct loss_planner *planner)
{
	if (!planner)
		return;
	while (!LIST_EMPTY(&planner->passes))
		pass_free(LIST_FIRST(&planner->passes));
	timer_free(planner->timer);
	free(planner);
}

struct loss_outlook
loss_planner_outlook(const struct loss_planner *planner)
{
	return planner->outlook;
}
