/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx migrate vm, virtx get migrate vm and virtx abort migrate vm. */
#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/placement.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

enum {
	OPTION_BANDWIDTH = 'B',
	OPTION_DOWNTIME = 'd',
	OPTION_TIMEOUT = 't',
	OPTION_ACTION = 'a',
};

static const struct option_row migrate_vm_options[] = {
	{ 'h', "host", ARG_HOST, "the host to go to (default: the one that is best for it)" },
	{ 'n', "dry-run", NULL, "only tell which host that is, and why" },
	{ 'l', "live", NULL, "the VM goes on meanwhile (default: it is off)" },
	{ 'w', "wait", NULL, "until the VM is there" },
	{ OPTION_BANDWIDTH, "bandwidth", ARG_TEXT("MIB"), "send at most so many MiB a second" },
	{ OPTION_DOWNTIME, "downtime", ARG_TEXT("MS"),
	    "let the VM stand still so many milliseconds at most" },
	{ 'p', "post-copy", NULL, "it may go on there before all its memory is there" },
	{ OPTION_TIMEOUT, "migrate-timeout", ARG_TEXT("SECONDS"),
	    "after so many seconds do what -a says" },
	{ OPTION_ACTION, "timeout-action", ARG_WORD("ACTION", &migration_timeout_enum, 0),
	    "abort (default), pause or post-copy" },
	SEVERAL_ROWS,
	{ 0 },
};

static int
read_numbers(const struct command_call *call, struct vm_migrate_options *options, struct error *err)
{
	long bandwidth, downtime, timeout;
	int action = MIGRATION_TIMEOUT_ABORT;

	if (command_number(call, OPTION_BANDWIDTH, 1, 1 << 20, &bandwidth, err) < 0 ||
	    command_number(call, OPTION_DOWNTIME, 1, 2000000, &downtime, err) < 0 ||
	    command_number(call, OPTION_TIMEOUT, 1, 604800, &timeout, err) < 0 ||
	    command_enum(call, OPTION_ACTION, &action, err) < 0)
		return -1;
	options->bandwidth = (int32_t)bandwidth;
	options->downtime = (int32_t)downtime;
	options->timeout = (int32_t)timeout;
	options->timeout_action = (enum migration_timeout)action;
	return 0;
}

static enum command_result
explain(struct command_call *call, const struct vm_migrate_options *options, struct error *err)
{
	if (placement_call(call, ROUTE_VM_MIGRATE, call->operands[0], options, err) < 0) {
		error_wrap(err, "cannot migrate vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}

static enum command_result
migrate_vm(struct command_call *call, struct error *err)
{
	struct vm_migrate_options options = {
		.migration_type = call->counts['l'] > 0 ? MIGRATION_TYPE_LIVE : MIGRATION_TYPE_COLD,
		.post_copy = call->counts['p'] > 0,
		.host = (char *)call->values['h'],
	};

	if (read_numbers(call, &options, err) < 0)
		return COMMAND_USAGE;
	if (call->counts['n'] > 0)
		return explain(call, &options, err);
	return operation_call_vm(
	    call, ROUTE_VM_MIGRATE, &options, call->counts['w'] > 0, "cannot migrate vm", err);
}

static const char *
migrate_vm_done(const struct command_call *call)
{
	return call->counts['w'] > 0 ? "moved" : "migration has begun";
}

static const struct several migrate_vm_several = {
	.done = migrate_vm_done,
	.alone = 'n',
};

const struct command migrate_vm_command = {
	.words = "migrate vm",
	.operands = { ARG_VM },
	.options = migrate_vm_options,
	.summary = "Move a VM, or several, to another host",
	.examples = "virtx migrate vm -n -l web\n"
		    "virtx migrate vm -l -w -t 600 -a post-copy -p web\n"
		    "virtx migrate vm -l -w --parallel 2 -h h2 web db\n",
	.run = migrate_vm,
	.several = &migrate_vm_several,
};

static enum command_result
get_migrate_vm(struct command_call *call, struct error *err)
{
	struct migration_info info = { 0 };
	const struct transfer_progress *progress = &info.progress;
	struct writer *w = call->writer;
	if (client_get(call->client, ROUTE_MIGRATION_GET, call->operands[0], NULL, &info, err) <
	    0) {
		error_wrap(err, "cannot get the migration of vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	writer_document(w, &migration_info_model, &info);
	writer_field(w, "state", "%s", enum_word(&migration_state_enum, info.state));
	if (progress->total > 0) {
		writer_field(w, "total", "%lld MiB", (long long)progress->total);
		writer_field(w, "transferred", "%lld MiB", (long long)progress->transferred);
		writer_field(w, "remaining", "%lld MiB", (long long)progress->remaining);
		writer_field(w, "rate", "%.1f MiB/s", (double)progress->rate);
		writer_field(w, "dirty rate", "%.1f MiB/s", (double)progress->dirty_rate);
		writer_field(w, "iteration", "%d", progress->iteration);
	}
	if (progress->expected_downtime > 0)
		writer_field(w, "expected downtime", "%d ms", progress->expected_downtime);
	if (progress->downtime > 0)
		writer_field(w, "downtime", "%d ms", progress->downtime);
	model_clear(&migration_info_model, &info);
	return COMMAND_OK;
}

const struct command get_migrate_vm_command = {
	.words = "get migrate vm",
	.operands = { ARG_VM },
	.summary = "Show how far the migration of a VM is",
	.run = get_migrate_vm,
};

static enum command_result
abort_migrate_vm(struct command_call *call, struct error *err)
{
	return operation_call_vm(
	    call, ROUTE_MIGRATION_ABORT, NULL, true, "cannot abort the migration of vm", err);
}

const struct command abort_migrate_vm_command = {
	.words = "abort migrate vm",
	.operands = { ARG_VM },
	.summary = "Abort the live migration of a VM",
	.run = abort_migrate_vm,
};
