/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx shutdown vm. */
#include <stdio.h>

#include "proto/model.h"
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"
#include "virtx/wait.h"

#define THEN_KILL_MAX 86400 /* seconds */

enum {
	OPTION_THEN_KILL = 30,
};

static const struct option_row shutdown_vm_options[] = {
	{ 'f', "force", NULL, "end the VM's process by SIGTERM; given twice, by SIGKILL" },
	{ 'w', "wait", NULL, "until it is off" },
	{ OPTION_THEN_KILL, "then-kill", ARG_TEXT("SECONDS"),
	    "wait so long at most, and end it by force then" },
	SEVERAL_ROWS,
	SEVERAL_ROW_YES,
	{ 0 },
};

static bool
waits(const struct command_call *call)
{
	return call->counts['w'] > 0 || call->counts[OPTION_THEN_KILL] > 0;
}

static int
read_then_kill(const struct command_call *call, long *ret, struct error *err)
{
	return command_number(call, OPTION_THEN_KILL, 1, THEN_KILL_MAX, ret, err);
}

static int
check_options(const struct command_call *call, struct error *err)
{
	long seconds;

	if (call->counts['f'] > 2)
		return error_set(err, CLIENT_ERROR_STATUS, "--force can be given once or twice");
	if (call->counts['f'] > 0 && call->counts[OPTION_THEN_KILL] > 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--force ends it at once, --then-kill only where its guest does not");
	return read_then_kill(call, &seconds, err);
}

/* By SIGTERM, and where that does not suffice by SIGKILL. */
static int
end_by_force(const struct command_call *call, long seconds, struct error *err)
{
	const struct vm_shutdown_options options = { .force = 2 };
	struct client client = *call->client;
	const char *shown = client.vm ? client.vm : call->shown[0];

	/* It may have gone off by now. */
	client.query = "if_needed=true";
	client.success = 204;
	fprintf(stderr, "virtx: warning: vm %s is not off after %ld s: it is ended by force\n",
	    shown, seconds);
	if (operation_call(
		&client, ROUTE_VM_SHUTDOWN, call->operands[0], &options, true, NULL, NULL, err) < 0)
		return error_wrap(err, "cannot end vm %s by force", call->shown[0]);
	return 0;
}

/* Its guest was asked. One that crashed or is forgotten by libvirt meanwhile is off, too. */
static enum command_result
wait_until_off(const struct command_call *call, struct error *err)
{
	const char *vm = call->operands[0];
	_free_ char *hint = xasprintf("its guest was asked to shut down; 'virtx wait vm --for "
				      "poweroff %s' waits on, 'virtx shutdown vm -ff %s' ends it",
	    vm, vm);
	struct vm_wait wait = {
		.client = call->client,
		.vm = vm,
		.states =
		    1u << VMRUNSTATE_POWEROFF | 1u << VMRUNSTATE_CRASHED | 1u << VMRUNSTATE_DELETED,
		.word = "off",
		.since = monotonic_ms(),
		.seconds = call->client->timeout,
		.hint = hint,
	};
	long seconds;
	int rc;

	if (read_then_kill(call, &seconds, err) < 0)
		return COMMAND_USAGE;
	if (seconds > 0)
		wait.seconds = (int)seconds;
	rc = wait_for_vm(&wait, err);
	if (rc < 0 && seconds > 0 && err->status == CLIENT_GOES_ON_STATUS)
		rc = end_by_force(call, seconds, err);
	else if (rc < 0)
		error_wrap(err, "waiting for vm %s", call->shown[0]);
	return rc < 0 ? COMMAND_FAILED : COMMAND_OK;
}

static enum command_result
shutdown_vm(struct command_call *call, struct error *err)
{
	struct vm_shutdown_options options = { .force = (int16_t)call->counts['f'] };
	struct client client = *call->client;
	enum command_result result;

	if (check_options(call, err) < 0)
		return COMMAND_USAGE;
	/* To be asked, as without force, is not to be ended. */
	client.success = options.force > 0 ? 204 : 0;
	call->client = &client;
	result = operation_call_vm(
	    call, ROUTE_VM_SHUTDOWN, &options, options.force > 0, "cannot shut down vm", err);
	if (result != COMMAND_OK || options.force > 0 || !waits(call))
		return result;
	return wait_until_off(call, err);
}

static const char *
shutdown_vm_done(const struct command_call *call)
{
	return call->counts['f'] > 0 || waits(call) ? "poweroff" : "asked to shut down";
}

static const char *
shutdown_vm_danger(const struct command_call *call)
{
	if (call->counts[OPTION_THEN_KILL] > 0)
		return "Shut down, or end by force,";
	return call->counts['f'] > 0 ? "End by force" : NULL;
}

static const struct several shutdown_vm_several = {
	.done = shutdown_vm_done,
	.already = ERROR_ALREADY_OFF,
	.is_already = "already off",
	.danger = shutdown_vm_danger,
	.check = check_options,
};

const struct command shutdown_vm_command = {
	.words = "shutdown vm",
	.operands = { ARG_VM },
	.options = shutdown_vm_options,
	.summary = "Shut down a VM, or several",
	.help = "Without -f the guest is asked by ACPI, and only -w and --then-kill wait for it.",
	.examples = "virtx shutdown vm web\n"
		    "virtx shutdown vm -ff web\n"
		    "virtx shutdown vm --wait --timeout 120 web\n"
		    "virtx shutdown vm --then-kill 60 --yes web db\n"
		    "virtx shutdown vm --filter state=running,name~test\n",
	.run = shutdown_vm,
	.several = &shutdown_vm_several,
};
