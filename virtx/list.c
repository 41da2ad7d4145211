/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx list host|vm|operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/model.h"
#include "proto/uuid.h"
#include "virtx/operation.h"
#include "virtx/verbs.h"
#include "virtx/vm_table.h"

static const struct option_row list_host_options[] = {
	{ 'n', "name", ARG_TEXT("NAME"), "only with NAME in the name" },
	{ 'a', "arch", ARG_TEXT("ARCH"), "only of this architecture (x86_64)" },
	{ 'v', "vendor", ARG_TEXT("VENDOR"), "only of this CPU vendor (Intel, AMD)" },
	{ 's', "state", ARG_WORD("STATE", &cstate_enum, CSTATE_ACTIVE),
	    "only in this state: a word (active, left, failed) or its number" },
	{ 'm', "memory", ARG_TEXT("MIB"), "only with so much memory available for VMs" },
	{ 'H', "hp", ARG_TEXT("MIB"), "only with so much hugepage memory available for VMs" },
	{ 0 },
};

static const struct option_row list_vm_options[] = {
	{ 'n', "name", ARG_TEXT("NAME"), "only with NAME in the name" },
	{ 'h', "host", ARG_HOST, "only on this host" },
	{ 's', "state", ARG_WORD("STATE", &vmrunstate_enum, VMRUNSTATE_POWEROFF),
	    "only in this run state: a word (running, poweroff) or its number" },
	{ 'v', "vlanid", ARG_TEXT("ID"), "only with this VLAN" },
	{ 'N', "custom-name", ARG_TEXT("NAME"),
	    "only with this custom field, of any value or ..." },
	{ 'V', "custom-value", ARG_TEXT("VALUE"), "... of this one" },
	{ 0 },
};

/* Asks for a list; the filter is in the body, which the Go virtx reads as well. */
static enum command_result
fetch(
    struct command_call *call, enum route_id id, const void *options, void *list, struct error *err)
{
	if (client_get(call->client, id, NULL, options, list, err) < 0) {
		error_wrap(err, "cannot %ss", call->command->words);
		return COMMAND_FAILED;
	}
	writer_document(call->writer, routes[id].reply, list);
	return COMMAND_OK;
}

static enum command_result
list_host(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "UUID", "NAME", "STATE", "~ARCH", "~VENDOR", "~CPU",
		">CPUS", ">MEMORY AVAILABLE", "~>HUGEPAGES AVAILABLE", "~OS", "~>CLOCK",
		"~WATCHDOG", "~UPDATED" };
	struct host_list_options options = { 0 };
	struct host_list_fields *filter = &options.filter;
	struct host_list list = { 0 };
	struct writer *w = call->writer;
	char time[WRITER_TIME_SIZE];
	enum command_result result;
	long memory, hp;
	int cstate;

	if (command_enum(call, 's', &cstate, err) < 0 ||
	    command_number(call, 'm', 0, INT32_MAX, &memory, err) < 0 ||
	    command_number(call, 'H', 0, INT32_MAX, &hp, err) < 0)
		return COMMAND_USAGE;
	filter->name = xstrdup(call->values['n']);
	filter->cpuarch.arch = xstrdup(call->values['a']);
	filter->cpuarch.vendor = xstrdup(call->values['v']);
	filter->cstate = cstate;
	filter->memoryavailable = (int32_t)memory;
	filter->hpavailable = (int32_t)hp;
	result = fetch(call, ROUTE_HOST_LIST, &options, &list, err);
	model_clear(&host_list_options_model, &options);
	if (result != COMMAND_OK)
		return result;

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list.n_items; i++) {
		const struct host_list_fields *host = &list.items[i].fields;
		const struct cpudef *cpu = &host->cpudef;

		writer_cell(w, "%s", str_or_empty(list.items[i].uuid));
		writer_cell(w, "%s", str_or_empty(host->name));
		writer_cell(w, "%s%s", enum_word(&cstate_enum, host->cstate),
		    list.items[i].maintenance ? " (maintenance)" : "");
		writer_cell(w, "%s", str_or_empty(host->cpuarch.arch));
		writer_cell(w, "%s", str_or_empty(host->cpuarch.vendor));
		writer_cell(w, "%s", str_or_empty(cpu->model));
		writer_cell(
		    w, "%lld", (long long)cpu->nodes * cpu->sockets * cpu->cores * cpu->threads);
		writer_cell(w, "%d MiB", host->memoryavailable);
		writer_cell(w, "%d MiB", host->hpavailable);
		writer_cell(w, "%s%s%s", str_or_empty(host->osid), str_empty(host->osv) ? "" : " ",
		    str_or_empty(host->osv));
		writer_cell(w, "%+.1f s", (double)list.items[i].skew / 1000);
		writer_cell(w, "%s", enum_word(&watchdog_enum, list.items[i].watchdog));
		writer_cell(w, "%s", writer_time(host->ts, time));
	}
	writer_end(w);
	model_clear(&host_list_model, &list);
	return COMMAND_OK;
}

const struct command list_host_command = {
	.words = "list host",
	.options = list_host_options,
	.summary = "List hosts",
	.help = "Options narrow the list; a host must match all of them.",
	.examples = "virtx list host -s active -m 4096\n"
		    "virtx list host -o json\n",
	.run = list_host,
};

void
vm_table_begin(struct writer *w, const struct vm_list *list, bool custom)
{
	static const char *const titles[] = { "UUID", "NAME", "STATE", "~HOST", "~>VLAN",
		"~UPDATED", "CUSTOM" };
	char time[WRITER_TIME_SIZE];

	writer_begin(w, titles, ARRAY_SIZE(titles) - !custom);
	for (size_t i = 0; i < list->n_items; i++) {
		const struct vm_list_fields *vm = &list->items[i].fields;

		writer_cell(w, "%s", str_or_empty(list->items[i].uuid));
		writer_cell(w, "%s", str_or_empty(vm->name));
		writer_cell(w, "%s", writer_runstate(vm->runstate));
		writer_cell(w, "%s", str_or_empty(vm->host));
		writer_cell(w, "%d", vm->vlanid);
		writer_cell(w, "%s", writer_time(vm->ts, time));
		if (custom)
			writer_cell(w, "%s=%s", str_or_empty(vm->custom.name),
			    str_or_empty(vm->custom.value));
	}
}

static enum command_result
list_vm(struct command_call *call, struct error *err)
{
	struct vm_list_options options = { 0 };
	struct vm_list_fields *filter = &options.filter;
	struct vm_list list = { 0 };
	struct writer *w = call->writer;
	enum command_result result;
	bool custom = call->values['N'] || call->values['V'];
	long vlanid;
	int runstate;

	if (command_enum(call, 's', &runstate, err) < 0 ||
	    command_number(call, 'v', 0, 4094, &vlanid, err) < 0)
		return COMMAND_USAGE;
	if (call->values['V'] && !call->values['N']) {
		error_set(err, CLIENT_ERROR_STATUS, "--custom-value needs --custom-name");
		return COMMAND_USAGE;
	}
	filter->name = xstrdup(call->values['n']);
	filter->host = xstrdup(call->values['h']);
	filter->runstate = runstate;
	filter->vlanid = (int16_t)vlanid;
	filter->custom.name = xstrdup(call->values['N']);
	filter->custom.value = xstrdup(call->values['V']);
	result = fetch(call, ROUTE_VM_LIST, &options, &list, err);
	model_clear(&vm_list_options_model, &options);
	if (result != COMMAND_OK)
		return result;

	vm_table_begin(w, &list, custom);
	writer_end(w);
	model_clear(&vm_list_model, &list);
	return COMMAND_OK;
}

const struct command list_vm_command = {
	.words = "list vm",
	.options = list_vm_options,
	.summary = "List VMs",
	.help = "Options narrow the list; a VM must match all of them.",
	.examples = "virtx list vm -s running -n web\n"
		    "virtx list vm -N owner -V alice\n",
	.run = list_vm,
};

/* The operations that a host keeps, "" for the one that answers. */
static int
fetch_operations(
    const struct client *client, const char *host, struct operation_list *ret, struct error *err)
{
	_free_ char *query = *host ? xasprintf("host=%s", host) : NULL;
	struct client asking = *client;

	asking.query = query;
	return client_get(&asking, ROUTE_OPERATION_LIST, NULL, NULL, ret, err);
}

/* Takes those of more, which is empty then. */
static void
add_operations(struct operation_list *list, struct operation_list *more)
{
	size_t n = list->n_items + more->n_items;

	if (more->n_items == 0)
		return;
	list->items = xrealloc(list->items, n, sizeof(*list->items));
	memcpy(list->items + list->n_items, more->items, more->n_items * sizeof(*more->items));
	list->n_items = n;
	free(more->items);
	*more = (struct operation_list){ 0 };
}

static int
compare_operations(const void *a, const void *b)
{
	const struct operation *one = a, *other = b;

	if (one->ts != other->ts)
		return one->ts > other->ts ? -1 : 1;
	return strcmp(str_or_empty(one->id), str_or_empty(other->id));
}

/* Those of the other hosts; of one that does not tell, a warning. */
static void
fetch_others(struct command_call *call, struct operation_list *list)
{
	_free_ char *answering = list->n_items > 0 ? xstrdup(list->items[0].host) : NULL;
	struct host_list hosts = { 0 };
	struct error err = { 0 };
	char uuid[UUID_TEXT_SIZE];

	if (client_get(call->client, ROUTE_HOST_LIST, NULL, NULL, &hosts, &err) < 0)
		fprintf(stderr, "virtx: warning: only those of the host that answers: %s\n",
		    err.detail);
	for (size_t i = 0; i < hosts.n_items; i++) {
		struct operation_list more = { 0 };

		if (hosts.items[i].fields.cstate != CSTATE_ACTIVE ||
		    uuid_normalize(str_or_empty(hosts.items[i].uuid), uuid) < 0 ||
		    str_equal(uuid, answering))
			continue;
		if (fetch_operations(call->client, uuid, &more, &err) < 0)
			fprintf(stderr, "virtx: warning: without those of host '%s': %s\n", uuid,
			    err.detail);
		add_operations(list, &more);
	}
	model_clear(&host_list_model, &hosts);
}

static enum command_result
list_operation(struct command_call *call, struct error *err)
{
	struct operation_list list = { 0 };

	if (fetch_operations(call->client, "", &list, err) < 0) {
		error_wrap(err, "cannot list operations");
		return COMMAND_FAILED;
	}
	fetch_others(call, &list);
	if (list.n_items > 0)
		qsort(list.items, list.n_items, sizeof(*list.items), compare_operations);
	writer_document(call->writer, &operation_list_model, &list);
	operation_show(call->writer, &list);
	model_clear(&operation_list_model, &list);
	return COMMAND_OK;
}

const struct command list_operation_command = {
	.words = "list operation",
	.summary = "List what the hosts were asked to do, and by whom",
	.help = "The newest first, of all hosts that are active.",
	.run = list_operation,
};
