/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx ha, and virtx ha plan. */
#include <stdio.h>

#include "proto/model.h"
#include "virtx/host_table.h"
#include "virtx/verbs.h"

static void
add(struct buffer *why, const char *text)
{
	if (!str_empty(text))
		buffer_printf(why, "%s%s", why->len ? "; " : "", text);
}

static const char *
state_of(const struct ha_status *ha)
{
	if (!ha->armed)
		return "no";
	return ha->n_reasons > 0 ? "lost" : "yes";
}

/* Only an active one can be asked for what is missing. */
static void
show_host(const struct command_call *call, const struct host_list_item *item)
{
	bool active = item->fields.cstate == CSTATE_ACTIVE;
	struct writer *w = call->writer;
	struct host host = { 0 };
	const struct ha_status *ha = &host.ha;
	struct error err = { 0 };
	_buffer_ struct buffer why = { 0 };

	if (client_get(call->client, ROUTE_HOST_GET, item->uuid, NULL, &host, &err) < 0)
		add(&why, err.detail);
	for (size_t i = 0; i < ha->n_reasons; i++)
		add(&why, ha->reasons[i].detail);
	if (!ha->armed && !why.len)
		add(&why, active ? "its virtxd does not tell" : "it was not when it was here last");
	add(&why, host.health.ha);
	writer_cell(w, "%s", str_or_empty(item->uuid));
	writer_cell(w, "%s", str_or_empty(item->fields.name));
	writer_cell(w, "%s", enum_word(&cstate_enum, item->fields.cstate));
	writer_cell(w, "%s", state_of(ha));
	if (ha->armed) {
		writer_cell(w, "%d", ha->host_id);
		writer_cell(w, "%lld", (long long)ha->generation);
		writer_cell(w, "%d s", 8 * ha->io_timeout + ha->fire_timeout);
	} else {
		for (int i = 0; i < 3; i++)
			writer_cell(w, "-");
	}
	writer_cell(w, "%s", why.len ? why.data : "-");
	model_clear(&host_model, &host);
}

static enum command_result
ha(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "UUID", "NAME", "STATE", "ARMED", "~>HOST ID",
		"~>GENERATION", "~>FREE AFTER", "WHY" };

	return host_table(
	    call, titles, ARRAY_SIZE(titles), show_host, "show which hosts are armed", err);
}

const struct command ha_command = {
	.words = "ha",
	.summary = "Show which hosts are armed: may take over, and be taken over from",
	.help =
	    "Of each host: how sanlock knows it, after how many seconds without a renewal others\n"
	    "may take its leases, and why it is not armed. One that is lost was armed, and its\n"
	    "leases expire.",
	.run = ha,
};

static void
show_plans(struct writer *w, const struct ha_plan *plan)
{
	static const char *const titles[] = { "UUID", "NAME", ">RESTART", ">STRANDED", "WHY" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct ha_plan_host *item = &plan->items[i];
		const struct ha_plan_vm *first = item->n_vms > 0 ? &item->vms[0] : NULL;

		writer_cell(w, "%s", str_or_empty(item->host));
		writer_cell(w, "%s", str_or_empty(item->name));
		writer_cell(w, "%d", item->restarts);
		writer_cell(w, "%d", item->stranded);
		writer_cell(w, "%s", first ? str_or_empty(first->reason) : "-");
	}
	writer_end(w);
}

static void
show_plan(struct writer *w, const struct ha_plan_host *item)
{
	static const char *const titles[] = { "VM", "NAME", ">ORDER", ">MEMORY", "HOST", "REASON" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < item->n_vms; i++) {
		const struct ha_plan_vm *vm = &item->vms[i];

		writer_cell(w, "%s", str_or_empty(vm->vm));
		writer_cell(w, "%s", str_or_empty(vm->name));
		writer_cell(w, "%d", vm->order);
		writer_cell(w, "%d MiB%s", vm->memory, vm->hp ? " (hugepages)" : "");
		writer_cell(w, "%s", str_empty(vm->host) ? "-" : vm->host);
		writer_cell(w, "%s", str_or_empty(vm->reason));
	}
	writer_end(w);
}

static enum command_result
ha_plan(struct command_call *call, struct error *err)
{
	struct client asking = *call->client;
	struct ha_plan plan = { 0 };
	_free_ char *query = NULL;

	if (call->operands[0])
		asking.query = query = xasprintf("host=%s", call->operands[0]);
	if (client_get(&asking, ROUTE_HA_PLAN, NULL, NULL, &plan, err) < 0) {
		error_wrap(err, "cannot show the plan");
		return COMMAND_FAILED;
	}
	writer_document(call->writer, &ha_plan_model, &plan);
	if (call->operands[0] && plan.n_items > 0)
		show_plan(call->writer, &plan.items[0]);
	else
		show_plans(call->writer, &plan);
	if (!plan.enabled)
		fprintf(stderr, "virtx: warning: no VM is brought back by itself: [ha] enabled is "
				"no on the host that answers\n");
	model_clear(&ha_plan_model, &plan);
	return COMMAND_OK;
}

const struct command ha_plan_command = {
	.words = "ha plan",
	.operands = { ARG_HOST_MAYBE },
	.summary = "Show what would become of VMs if their host died",
	.help =
	    "Of one host: where each of its VMs that is wanted on, and is to be brought back, "
	    "would\n"
	    "start, or why nowhere. Of all: how many would, how many would not, and why the first\n"
	    "would not.",
	.examples = "virtx ha plan\n"
		    "virtx ha plan h1\n",
	.run = ha_plan,
};
