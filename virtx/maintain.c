/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx maintain host and virtx get maintain host. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row maintain_host_options[] = {
	{ 'n', "dry-run", NULL, "change nothing, and show where each VM would go" },
	{ 'w', "wait", NULL, "until each VM has moved, or it is known why it does not" },
	{ 'e', "end", NULL, "end it: the host takes VMs again" },
	{ 'b', "back", NULL, "with -e: the VMs that it had come back" },
	{ 0 },
};

static const char *
vm_name(const struct vm_list *list, const char *uuid)
{
	for (size_t i = 0; i < list->n_items; i++) {
		if (str_equal(list->items[i].uuid, uuid))
			return str_or_empty(list->items[i].fields.name);
	}
	return "";
}

/* The names are for people, and not worth a failure. */
static void
find_names(const struct command_call *call, struct vm_list *ret)
{
	struct vm_list_options all = { 0 };
	struct error ignored;

	if (!writer_is_document(call->writer))
		(void)client_get(call->client, ROUTE_VM_LIST, NULL, &all, ret, &ignored);
}

static void
show_plan(struct command_call *call, const struct maintenance_plan *plan)
{
	static const char *const titles[] = { "VM", "NAME", "TO", "REASON" };
	struct writer *w = call->writer;
	struct vm_list names = { 0 };

	find_names(call, &names);
	writer_document(w, &maintenance_plan_model, plan);
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct placement *item = &plan->items[i];

		writer_cell(w, "%s", str_or_empty(item->vm));
		writer_cell(w, "%s", vm_name(&names, item->vm));
		writer_cell(w, "%s", str_or_empty(item->host));
		writer_cell(w, "%s", str_or_empty(item->reason));
	}
	writer_end(w);
	model_clear(&vm_list_model, &names);
}

static int
dry_run(struct command_call *call, const char *uuid, struct error *err)
{
	const struct maintenance_options options = { .dry_run = true };
	struct maintenance_plan plan = { 0 };
	_answer_ struct answer answer = { 0 };
	struct client client = *call->client;

	client.success = 200;
	if (client_call(&client, ROUTE_MAINTENANCE_BEGIN, uuid, &options, &answer, err) < 0 ||
	    answer_decode(&answer, &maintenance_plan_model, &plan, err) < 0)
		return -1;
	show_plan(call, &plan);
	model_clear(&maintenance_plan_model, &plan);
	return 0;
}

static enum command_result
maintain_host(struct command_call *call, struct error *err)
{
	const struct maintenance_end_options end = { .back = call->counts['b'] > 0 };
	const struct maintenance_options begin = { 0 };
	bool ends = call->counts['e'] > 0, wait = call->counts['w'] > 0;
	const char *uuid = call->operands[0];
	int r;

	if ((end.back && !ends) || (call->counts['n'] > 0 && (ends || wait))) {
		error_set(err, CLIENT_ERROR_STATUS,
		    end.back && !ends ? "--back needs --end"
				      : "--dry-run goes with neither --end nor --wait");
		return COMMAND_USAGE;
	}
	if (call->counts['n'] > 0)
		r = dry_run(call, uuid, err);
	else if (ends)
		r = operation_call(
		    call->client, ROUTE_MAINTENANCE_END, uuid, &end, wait, NULL, NULL, err);
	else
		r = operation_call(
		    call->client, ROUTE_MAINTENANCE_BEGIN, uuid, &begin, wait, NULL, NULL, err);
	if (r == 0)
		return COMMAND_OK;
	error_wrap(err, ends ? "cannot end the maintenance of host %s" : "cannot maintain host %s",
	    call->shown[0]);
	return COMMAND_FAILED;
}

const struct command maintain_host_command = {
	.words = "maintain host",
	.operands = { ARG_HOST },
	.options = maintain_host_options,
	.summary = "Let a host take no VMs, and move its VMs away",
	.help =
	    "The command ends when that has begun: see -w. The host stays in maintenance until\n"
	    "that is ended with -e.",
	.examples = "virtx maintain host -n h1\n"
		    "virtx maintain host -w h1\n"
		    "virtx maintain host -e -b h1\n",
	.run = maintain_host,
};

static enum command_result
get_maintain_host(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "VM", "NAME", "WENT TO", "REASON" };
	struct maintenance maintenance = { 0 };
	struct writer *w = call->writer;
	struct vm_list names = { 0 };
	char time[WRITER_TIME_SIZE];

	if (client_get(call->client, ROUTE_MAINTENANCE_GET, call->operands[0], NULL, &maintenance,
		err) < 0) {
		error_wrap(err, "cannot get the maintenance of host %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	find_names(call, &names);
	writer_document(w, &maintenance_model, &maintenance);
	writer_field(w, "state", "%s",
	    !maintenance.since	    ? "no maintenance"
	    : maintenance.restoring ? "its VMs come back"
				    : "in maintenance");
	writer_field(w, "since", "%s", writer_time(maintenance.since, time));
	writer_field(w, "user", "%s", str_or_empty(maintenance.user));
	writer_field(w, "operation", "%s", str_or_empty(maintenance.operation));
	if (maintenance.n_vms > 0) {
		writer_begin(w, titles, ARRAY_SIZE(titles));
		for (size_t i = 0; i < maintenance.n_vms; i++) {
			const struct maintenance_vm *item = &maintenance.vms[i];

			writer_cell(w, "%s", str_or_empty(item->vm));
			writer_cell(w, "%s", vm_name(&names, item->vm));
			writer_cell(w, "%s", str_or_empty(item->host));
			writer_cell(w, "%s", str_or_empty(item->reason));
		}
		writer_end(w);
	}
	model_clear(&vm_list_model, &names);
	model_clear(&maintenance_model, &maintenance);
	return COMMAND_OK;
}

const struct command get_maintain_host_command = {
	.words = "get maintain host",
	.operands = { ARG_HOST },
	.summary = "Show the maintenance of a host: its VMs, and why some stay",
	.run = get_maintain_host,
};
