/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx failover vm, virtx failover host and virtx recall vm: VMs of a host that is dead, or cannot
 * be asked. */
#include <stdio.h>
#include <time.h>

#include "proto/model.h"
#include "virtx/claim_risk.h"
#include "virtx/operation.h"
#include "virtx/terminal.h"
#include "virtx/verbs.h"

#define POLL_MS 300

static const struct option_row failover_options[] = {
	{ 't', "to", ARG_HOST, "to this host (default: see above)" },
	{ 'y', "yes", NULL, "do not ask whether it is to be done" },
	{ 0 },
};

/* Whether somebody wants it: 0, or -1. */
static int
ask(const struct command_call *call, const char *question, struct error *err)
{
	if (call->counts['y'] > 0)
		return 0;
	if (!terminal_is_there())
		return error_set(err, CLIENT_ERROR_STATUS,
		    "nobody can be asked whether this is to be done: --yes does it");
	return terminal_ask(question) ? 0 : error_set(err, CLIENT_ERROR_STATUS, "nothing was done");
}

/* As of claim_risk; the servers are asked only where somebody reads it. */
static char *
find_risk(const struct command_call *call, const char *from, const char *to)
{
	struct host host = { 0 }, target = { 0 };
	struct error ignored;
	bool known, named;
	char *risk;

	if (call->counts['y'] > 0 || !terminal_is_there())
		return xstrdup("");
	known = !str_empty(from) &&
		client_get(call->client, ROUTE_HOST_GET, from, NULL, &host, &ignored) == 0;
	named = *to && client_get(call->client, ROUTE_HOST_GET, to, NULL, &target, &ignored) == 0;
	risk = claim_risk(from, known ? &host : NULL, named ? &target : NULL);
	model_clear(&host_model, &host);
	model_clear(&host_model, &target);
	return risk;
}

/* The host that --to names, "" for none. */
static const char *
target(const struct command_call *call)
{
	return str_or_empty(call->values['t']);
}

/* The latest operation of this name on the VM that began then or later on that host, for
 * model_clear; its id is NULL for none. */
static int
find_operation(const struct client *client, const char *vm, const char *host, const char *op,
    int64_t since, struct operation *ret, struct error *err)
{
	_free_ char *query =
	    xasprintf("host=%s&vm=%s&op=%s&since=%lld", host, vm, op, (long long)since);
	const struct operation *latest = NULL;
	struct operation_list list = { 0 };
	struct client asking = *client;

	*ret = (struct operation){ 0 };
	asking.query = query;
	if (client_get(&asking, ROUTE_OPERATION_LIST, NULL, NULL, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.n_items; i++) {
		if (!latest || list.items[i].ts > latest->ts)
			latest = &list.items[i];
	}
	if (latest)
		model_copy(&operation_model, ret, latest);
	model_clear(&operation_list_model, &list);
	return 0;
}

/* Another server knows no operation of its own host's by the id: it is looked for anew. */
static int
wait_boot(
    const struct client *client, const char *vm, const char *host, int64_t since, struct error *err)
{
	int64_t due = monotonic_ms() + client->timeout * INT64_C(1000);

	while (monotonic_ms() < due) {
		struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
		struct operation boot = { 0 };
		bool goes_on = false;
		int r = find_operation(client, vm, host, "VmBoot", since, &boot, err);

		if (r == 0 && boot.id) {
			goes_on = str_equal(boot.state, "started");
			if (str_equal(boot.state, "failed"))
				r = error_set(
				    err, CLIENT_ERROR_STATUS, "%s", str_or_empty(boot.msg));
		}
		model_clear(&operation_model, &boot);
		if (!goes_on)
			return r;
		nanosleep(&pause, NULL);
	}
	return error_set(
	    err, CLIENT_ERROR_STATUS, "its boot has not ended within %d s", client->timeout);
}

/* The host that the VM has come to is the one that was named, or the server; the caller's. */
static char *
find_host(const struct client *client, const char *vm, const char *to, struct error *err)
{
	struct vmruninfo info = { 0 };
	char *host = NULL;

	if (*to)
		return xstrdup(to);
	if (client_get(client, ROUTE_VM_RUNSTATE_GET, vm, NULL, &info, err) == 0)
		host = xstrdup(str_or_empty(info.host));
	model_clear(&vmruninfo_model, &info);
	return host;
}

/* The boot is an operation of its own, which has begun when the VM has come to its host, or never
 * does where it was wanted off. */
static int
follow_boot(
    const struct client *client, const char *vm, const char *to, const char *op, struct error *err)
{
	_free_ char *host = find_host(client, vm, to, err);
	struct operation claim = { 0 };
	int r = host ? find_operation(client, vm, host, op, 0, &claim, err) : -1;

	if (r == 0 && claim.id)
		r = wait_boot(client, vm, host, claim.ts, err);
	if (r < 0)
		error_wrap(err, "it is on %s%s%s, and not known to run there",
		    host ? "host '" : "its new host", str_or_empty(host), host ? "'" : "");
	model_clear(&operation_model, &claim);
	return r;
}

static int
ask_for_vm(struct command_call *call, const char *uuid, const char *to, struct error *err)
{
	_free_ char *question = NULL, *risk = NULL;
	struct vmruninfo info = { 0 };
	struct error ignored;

	/* One whose host died before the server was started is known to no one. */
	(void)client_get(call->client, ROUTE_VM_RUNSTATE_GET, uuid, NULL, &info, &ignored);
	risk = find_risk(call, info.host, to);
	question =
	    xasprintf("VM %s is taken from host '%s', where it was last seen %s, and booted "
		      "on %s%s%s where it was wanted on. That is refused unless its leases are "
		      "free, as some time after the death of its host. %s Do it?",
		call->shown[0], str_empty(info.host) ? "(not known)" : info.host,
		writer_runstate(info.last ? info.last : info.runstate),
		*to ? "host '" : "the host that answers", to, *to ? "'" : "", risk);
	model_clear(&vmruninfo_model, &info);
	return ask(call, question, err);
}

static enum command_result
failover_vm(struct command_call *call, struct error *err)
{
	const char *uuid = call->operands[0], *to = target(call);
	const struct vm_failover_options options = { .host = (char *)to };

	if (ask_for_vm(call, uuid, to, err) == 0 &&
	    operation_call(
		call->client, ROUTE_VM_FAILOVER, uuid, &options, true, NULL, NULL, err) == 0 &&
	    follow_boot(call->client, uuid, to, "VmFailover", err) == 0)
		return COMMAND_OK;
	error_wrap(err, "cannot fail vm %s over", call->shown[0]);
	return COMMAND_FAILED;
}

const struct command failover_vm_command = {
	.words = "failover vm",
	.operands = { ARG_VM },
	.options = failover_options,
	.summary = "Bring a VM of a host that is dead back on another one",
	.help = "Without -t on the host that answers. It is refused, in sanlock's words, while a "
		"host\n"
		"that lives, or is not known to be dead yet, holds a lease of the VM.",
	.examples = "virtx failover vm -t h2 web\n"
		    "virtx failover vm -y web\n",
	.run = failover_vm,
};

static const struct option_row recall_options[] = {
	{ 't', "to", ARG_HOST, "to this host (default: the one that answers)" },
	{ 'f', "force", NULL, "end its process by SIGKILL, not by SIGTERM" },
	{ 'y', "yes", NULL, "do not ask whether it is to be done" },
	{ 0 },
};

static int
ask_to_recall(struct command_call *call, const char *uuid, const char *to, struct error *err)
{
	_free_ char *question = NULL, *risk = NULL;
	struct vmruninfo info = { 0 };
	struct error ignored;

	(void)client_get(call->client, ROUTE_VM_RUNSTATE_GET, uuid, NULL, &info, &ignored);
	risk = find_risk(call, info.host, to);
	question =
	    xasprintf("VM %s is ended on host '%s', where it was last seen %s: to its guest "
		      "that is as if it lost its power. Then it is booted on another host where "
		      "it was wanted on. Where its host answers, 'virtx migrate vm' or 'virtx "
		      "shutdown vm' loses nothing. What sanlock there keeps no leases of is not "
		      "ended. %s Do it?",
		call->shown[0], str_empty(info.host) ? "(not known)" : info.host,
		writer_runstate(info.last ? info.last : info.runstate), risk);
	model_clear(&vmruninfo_model, &info);
	return ask(call, question, err);
}

static enum command_result
recall_vm(struct command_call *call, struct error *err)
{
	const char *uuid = call->operands[0], *to = target(call);
	const struct vm_recall_options options = {
		.host = (char *)to,
		.force = call->counts['f'] > 0,
	};

	if (ask_to_recall(call, uuid, to, err) == 0 &&
	    operation_call(call->client, ROUTE_VM_RECALL, uuid, &options, true, NULL, NULL, err) ==
		0 &&
	    follow_boot(call->client, uuid, to, "VmRecall", err) == 0)
		return COMMAND_OK;
	error_wrap(err, "cannot recall vm %s", call->shown[0]);
	return COMMAND_FAILED;
}

const struct command recall_vm_command = {
	.words = "recall vm",
	.operands = { ARG_VM },
	.options = recall_options,
	.summary = "End a VM on a host that cannot be asked, and bring it back on another one",
	.help = "Its host keeps its leases, and is asked for them over the storage: sanlock there "
		"ends the VM.\n"
		"One whose sanlock does not run, either, is waited for: see 'virtx failover vm'.",
	.examples = "virtx recall vm web\n"
		    "virtx recall vm -f -t h2 web\n",
	.run = recall_vm,
};

/* A host that VMs may go to. */
struct candidate {
	char *uuid;
	int64_t memory;	 /* MiB, as it told */
	int64_t n_taken; /* VMs that it got of this command */
	bool refused;	 /* the VM that is looked at */
};

struct candidates {
	struct candidate *items;
	size_t n;
};

static void
candidates_clear(struct candidates *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].uuid);
	free(list->items);
}

/* to is "" for all that are fit. */
static int
find_candidates(const struct command_call *call, const char *from, const char *to,
    struct candidates *ret, struct error *err)
{
	const struct host_list_options active = { .filter.cstate = CSTATE_ACTIVE };
	struct host_list hosts = { 0 };

	if (client_get(call->client, ROUTE_HOST_LIST, NULL, &active, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.n_items; i++) {
		const struct host_list_item *host = &hosts.items[i];

		if (*to ? !str_equal(host->uuid, to)
			: host->maintenance || str_equal(host->uuid, from))
			continue;
		*model_append(&ret->items, &ret->n) =
		    (struct candidate){ .uuid = xstrdup(host->uuid),
			    .memory = host->fields.memoryavailable };
	}
	model_clear(&host_list_model, &hosts);
	return ret->n > 0 ? 0
			  : error_set(err, CLIENT_ERROR_STATUS,
				"no host is active that may have "
				"VMs");
}

/* What each has left is not known before it tells: those that got VMs already count as fuller. */
static struct candidate *
best(struct candidates *list)
{
	struct candidate *found = NULL;

	for (size_t i = 0; i < list->n; i++) {
		struct candidate *item = &list->items[i];

		if (!item->refused && (!found || item->memory / (item->n_taken + 1) >
						     found->memory / (found->n_taken + 1)))
			found = item;
	}
	return found;
}

/* Whether another host may be able to have what this one cannot. */
static bool
may_pass(const struct error *err)
{
	return !error_is(err, ERROR_NOT_FOUND) && !error_is(err, ERROR_BUSY);
}

/* NULL with err where no host has it now. */
static const struct candidate *
place(const struct command_call *call, const char *vm, struct candidates *list, struct error *err)
{
	struct candidate *to;

	for (size_t i = 0; i < list->n; i++)
		list->items[i].refused = false;
	while ((to = best(list))) {
		const struct vm_failover_options options = { .host = to->uuid };
		_answer_ struct answer answer = { 0 };

		if (client_call(call->client, ROUTE_VM_FAILOVER, vm, &options, &answer, err) == 0) {
			to->n_taken++;
			return to;
		}
		to->refused = true;
		if (!may_pass(err))
			return NULL;
	}
	return NULL;
}

/* All of them are claimed before the first boot is waited for. */
static size_t
take_all(const struct command_call *call, const struct vm_list *vms, struct candidates *list,
    struct maintenance_plan *ret)
{
	size_t n_failed = 0;

	for (size_t i = 0; i < vms->n_items; i++) {
		struct placement *item = model_append(&ret->items, &ret->n_items);
		struct error err = { 0 };
		const struct candidate *to = place(call, vms->items[i].uuid, list, &err);

		item->vm = xstrdup(vms->items[i].uuid);
		item->host = xstrdup(to ? to->uuid : "");
		item->reason = xstrdup(to ? "" : err.detail);
	}
	for (size_t i = 0; i < ret->n_items; i++) {
		struct placement *item = &ret->items[i];
		struct error err = { 0 };

		if (*item->host &&
		    follow_boot(call->client, item->vm, item->host, "VmFailover", &err) < 0)
			str_set(&item->reason, err.detail);
		n_failed += *item->reason != '\0';
	}
	return n_failed;
}

static void
show(struct writer *w, const struct vm_list *vms, const struct maintenance_plan *plan)
{
	static const char *const titles[] = { "VM", "NAME", "WENT TO", "REASON" };

	writer_document(w, &maintenance_plan_model, plan);
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < plan->n_items; i++) {
		writer_cell(w, "%s", str_or_empty(plan->items[i].vm));
		writer_cell(w, "%s", str_or_empty(vms->items[i].fields.name));
		writer_cell(w, "%s", str_or_empty(plan->items[i].host));
		writer_cell(w, "%s", str_or_empty(plan->items[i].reason));
	}
	writer_end(w);
}

static int
fail_over(struct command_call *call, const char *from, const char *to, const struct vm_list *vms,
    struct candidates *list, struct error *err)
{
	struct maintenance_plan plan = { 0 };
	_free_ char *question = NULL, *risk = NULL;
	size_t n_failed;

	if (find_candidates(call, from, to, list, err) < 0)
		return -1;
	risk = find_risk(call, from, to);
	question =
	    xasprintf("%zu VMs are taken from host %s, and those that were wanted on are "
		      "booted on %s%s. Each is refused unless its leases are free, as some time "
		      "after the death of its host. %s Do it?",
		vms->n_items, call->shown[0], *to ? "host " : "the hosts that are fit", to, risk);
	if (ask(call, question, err) < 0)
		return -1;
	n_failed = take_all(call, vms, list, &plan);
	show(call->writer, vms, &plan);
	model_clear(&maintenance_plan_model, &plan);
	return n_failed == 0 ? 0
			     : error_set(err, CLIENT_ERROR_STATUS,
				   "%zu of its %zu VMs are not as "
				   "they should be",
				   n_failed, vms->n_items);
}

static enum command_result
failover_host(struct command_call *call, struct error *err)
{
	struct candidates list = { 0 };
	struct vm_list_options options = { 0 };
	struct vm_list vms = { 0 };
	const char *from = call->operands[0], *to = target(call);
	int r;

	options.filter.host = (char *)from;
	r = client_get(call->client, ROUTE_VM_LIST, NULL, &options, &vms, err);
	if (r == 0 && vms.n_items == 0)
		fprintf(stderr, "virtx: no VM of host %s is known\n", call->shown[0]);
	else if (r == 0)
		r = fail_over(call, from, to, &vms, &list, err);
	candidates_clear(&list);
	model_clear(&vm_list_model, &vms);
	if (r == 0)
		return COMMAND_OK;
	error_wrap(err, "cannot fail host %s over", call->shown[0]);
	return COMMAND_FAILED;
}

const struct command failover_host_command = {
	.words = "failover host",
	.operands = { ARG_HOST },
	.options = failover_options,
	.summary = "Bring all VMs of a host that is dead back on others",
	.help = "Without -t on those that are active and in no maintenance, by the memory that "
		"they have.\n"
		"The table tells where each VM went, and why one did not, or does not run.",
	.examples = "virtx failover host h1\n"
		    "virtx failover host -t h2 -y h1\n",
	.run = failover_host,
};
