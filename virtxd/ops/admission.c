/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/admission.h"

#include <inttypes.h>
#include <stdio.h>

#include "ops/context.h"
#include "ops/task.h"
#include "proto/vmdef.h"

#define FIGURE_MAX    (INT64_C(1) << 40)
#define STALE_PERCENT 1 /* so much less memory of all is news */

/* More than any host has of anything; what is reckoned with such figures does not overflow. */
static bool
is_figure(int64_t figure)
{
	return figure >= -FIGURE_MAX && figure <= FIGURE_MAX;
}

static void
refuse(struct request *req, const struct host_figures *figures, const struct error *err)
{
	char text[128];
	struct request_header header = { "X-VirtX-Refused", text };

	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, figures->vms,
	    figures->vcpus, figures->memory, figures->hp);
	request_reply_error_full(req, err, &header, 1);
}

bool
admission_read_refusal(const char *refused, struct host_figures *ret)
{
	return sscanf(refused, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64, &ret->vms,
		   &ret->vcpus, &ret->memory, &ret->hp) == 4 &&
	       is_figure(ret->vms) && is_figure(ret->vcpus) && is_figure(ret->memory) &&
	       is_figure(ret->hp);
}

/* Whether the host that chose this one knew too little of it. */
static int
check_news(struct context *ctx, const struct request *req, const struct vmdef *def,
    const struct host_figures *figures, struct error *err)
{
	const struct host *self =
	    inventory_find_host(ctx->inventory, inventory_self(ctx->inventory));
	const struct hostresources *resources = &self->resources;
	int64_t total = def->memory.hp ? resources->hp.total : resources->memory.total;
	int64_t memory = def->memory.hp ? figures->hp : figures->memory;
	int64_t vms, mib;

	if (sscanf(req->placed, "%" SCNd64 " %" SCNd64, &vms, &mib) != 2 || !is_figure(vms) ||
	    !is_figure(mib))
		return 0;
	if (figures->vms <= vms && memory >= mib - total * STALE_PERCENT / 100)
		return 0;
	return error_set(err, 409,
	    "host '%s' has %" PRId64 " VMs and %" PRId64
	    " MiB for more by now: it was chosen as one with %" PRId64 " and %" PRId64,
	    str_or_empty(self->def.name), figures->vms, memory, vms, mib);
}

int
admission_accept(struct context *ctx, struct request *req, const struct vmdef *def)
{
	const char *self = inventory_self(ctx->inventory);
	struct placement_need need = {
		.vm = "", .from = "", .target = self, .def = def, .brief = true
	};
	struct planner *planner = planner_new(ctx->inventory);
	struct placement placement = { 0 };
	struct host_figures figures = { 0 };
	struct error err = { 0 };
	int r = task_ready(ctx, TASK_NEEDS_LOCKSPACE, &err);

	if (planner_figures(planner, self, &figures) && r == 0)
		r = check_news(ctx, req, def, &figures, &err);
	if (r == 0)
		r = planner_place(planner, &need, &placement, &err);
	if (r < 0)
		refuse(req, &figures, &err);
	model_clear(&placement_model, &placement);
	planner_free(planner);
	return r;
}

bool
admission_find_figures(struct context *ctx, const char *host, struct host_figures *ret)
{
	struct planner *planner = planner_new(ctx->inventory);
	bool told = planner_figures(planner, host, ret);

	planner_free(planner);
	return told;
}

void
admission_refuse(struct context *ctx, struct request *req, const struct error *err)
{
	struct host_figures figures;

	if (admission_find_figures(ctx, inventory_self(ctx->inventory), &figures))
		refuse(req, &figures, err);
	else
		request_reply_error(req, err);
}

int
admission_check_memory(struct context *ctx, const char *host, const char *vm,
    const struct vmdef *def, struct error *err)
{
	const struct host *entry = inventory_find_host(ctx->inventory, host);
	struct host_figures figures;
	int64_t left;

	if (!admission_find_figures(ctx, host, &figures))
		return 0;
	left = def->memory.hp ? figures.hp : figures.memory;
	if (def->memory.total <= left)
		return 0;
	return error_set(err, 422,
	    "host '%s' (%s) has %" PRId64 " MiB of %s for VMs, and VM '%s' needs %d MiB",
	    entry ? str_or_empty(entry->def.name) : "", host, left,
	    def->memory.hp ? "hugepages" : "memory", vm, def->memory.total);
}

int
admission_check_total(
    struct context *ctx, const char *vm, const struct vmdef_memory *memory, struct error *err)
{
	const char *self = inventory_self(ctx->inventory);
	const struct host *entry = inventory_find_host(ctx->inventory, self);
	int64_t total = 0;

	if (entry)
		total = (int64_t)entry->resources.memory.total + entry->resources.hp.total;
	/* Nothing is known of it yet. */
	if (total <= 0 || memory->total <= total)
		return 0;
	return error_set(err, 422,
	    "host '%s' (%s) has %" PRId64 " MiB of memory, and VM '%s' needs %d MiB",
	    str_or_empty(entry->def.name), self, total, vm, memory->total);
}
