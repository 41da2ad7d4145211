/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx wait vm and virtx wait operation. */
#include "virtx/wait.h"

#include <stdio.h>
#include <time.h>

#include "virtx/interrupt.h"
#include "virtx/known.h"
#include "virtx/operation.h"
#include "virtx/several.h"
#include "virtx/verbs.h"

#define LOOK_FIRST_MS 50
#define LOOK_MS	      500

static const char *const wait_words[] = { "running", "poweroff", "paused", "gone" };
static const struct enumdef wait_enum = { "Wait", wait_words, ARRAY_SIZE(wait_words) };
static const enum vmrunstate wait_states[] = { VMRUNSTATE_RUNNING, VMRUNSTATE_POWEROFF,
	VMRUNSTATE_PAUSED, VMRUNSTATE_DELETED };

static int64_t
time_left(const struct vm_wait *wait)
{
	return wait->since + wait->seconds * INT64_C(1000) - monotonic_ms();
}

/* Whether the server's list can be had: a 404 of where no virtxd is says nothing of the VM. */
static bool
knows_vms(const struct client *client, const char *vm)
{
	_known_ struct known_list known = { 0 };
	struct error ignored;

	return known_vms(client, vm, &known, &ignored) == 0;
}

/* The VM's state, VMRUNSTATE_DELETED where it is gone; -1 with err where nothing tells it. */
static int
look(const struct vm_wait *wait, enum vmrunstate *ret, struct error *err)
{
	struct client client = *wait->client;
	int64_t left = time_left(wait);
	struct vmruninfo info = { 0 };
	int rc;

	client.timeout = left > 1000 ? (int)((left + 999) / 1000) : 1;
	if (client.timeout > wait->client->timeout)
		client.timeout = wait->client->timeout;
	rc = client_get(&client, ROUTE_VM_RUNSTATE_GET, wait->vm, NULL, &info, err);
	*ret = info.runstate;
	model_clear(&vmruninfo_model, &info);
	if (rc == 0 || !error_is(err, ERROR_NOT_FOUND) || !knows_vms(&client, wait->vm))
		return rc;
	*ret = VMRUNSTATE_DELETED;
	return 0;
}

static bool
is_wanted(const struct vm_wait *wait, enum vmrunstate state)
{
	return (unsigned int)state < vmrunstate_enum.n_words && (wait->states & (1u << state));
}

/* Whether it may be told later: a host that is away may come back, or its VM elsewhere. */
static bool
may_pass(const struct error *err, bool seen)
{
	return (err->status >= 502 && err->status <= 504) || (seen && err->status < 0);
}

static void
describe(const struct vm_wait *wait, enum vmrunstate state, const char *when, struct error *err)
{
	error_set(err, CLIENT_GOES_ON_STATUS, "it is %s, not %s, %s; %s", writer_runstate(state),
	    wait->word, when, wait->hint);
	snprintf(err->vm, sizeof(err->vm), "%s", wait->vm);
}

static int
late(const struct vm_wait *wait, enum vmrunstate state, struct error *err)
{
	_free_ char *when = xasprintf("after %d s", wait->seconds);
	struct error why = *err;

	describe(wait, state, when, err);
	if (why.status)
		error_append(err, "its state was not told last: %s", why.detail);
	return -1;
}

/* What a signal says. */
static void
say_interrupted(const struct vm_wait *wait, enum vmrunstate state)
{
	struct error err = { 0 };

	describe(wait, state, "when that was interrupted", &err);
	error_wrap(&err, "waiting for vm '%s'", wait->vm);
	interrupt_say(&err, wait->client->json);
}

static int
follow(const struct vm_wait *wait, struct error *err)
{
	enum vmrunstate state, last = VMRUNSTATE_NONE;
	int pause = LOOK_FIRST_MS;
	bool seen = false;

	for (;;) {
		int64_t left;

		*err = (struct error){ 0 };
		if (look(wait, &state, err) == 0) {
			if (is_wanted(wait, state))
				return 0;
			if (state == VMRUNSTATE_DELETED)
				return error_set(err, 404, "it is gone");
			if (state != last)
				say_interrupted(wait, state);
			last = state;
			seen = true;
		} else if (!may_pass(err, seen)) {
			return -1;
		}
		left = time_left(wait);
		if (left <= 0)
			return late(wait, last, err);
		if (left > pause)
			left = pause;
		nanosleep(
		    &(struct timespec){ .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 },
		    NULL);
		pause = pause * 2 < LOOK_MS ? pause * 2 : LOOK_MS;
	}
}

int
wait_for_vm(const struct vm_wait *wait, struct error *err)
{
	int rc;

	say_interrupted(wait, VMRUNSTATE_NONE);
	rc = follow(wait, err);
	interrupt_forget();
	if (rc == 0)
		*err = (struct error){ 0 };
	return rc;
}

static const struct option_row wait_vm_options[] = {
	{ 'f', "for", ARG_WORD("STATE", &wait_enum, 0), "running, poweroff, paused or gone" },
	SEVERAL_ROWS,
	{ 0 },
};

static enum command_result
wait_vm(struct command_call *call, struct error *err)
{
	_free_ char *hint = xasprintf("'virtx get vm %s' shows it", call->operands[0]);
	struct vm_wait wait = {
		.client = call->client,
		.vm = call->operands[0],
		.since = call->since,
		.seconds = call->client->timeout,
		.hint = hint,
	};
	int at;

	if (command_enum(call, 'f', &at, err) < 0)
		return COMMAND_USAGE;
	wait.states = 1u << wait_states[at];
	wait.word = wait_words[at];
	if (wait_for_vm(&wait, err) < 0) {
		error_wrap(err, "waiting for vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}

static const char *
wait_vm_done(const struct command_call *call)
{
	return call->values['f'];
}

static bool
wait_vm_may_be_gone(const struct command_call *call)
{
	struct error ignored;
	int at;

	return command_enum(call, 'f', &at, &ignored) == 0 && wait_states[at] == VMRUNSTATE_DELETED;
}

static const struct several wait_vm_several = {
	.done = wait_vm_done,
	.may_be_gone = wait_vm_may_be_gone,
};

const struct command wait_vm_command = {
	.words = "wait vm",
	.operands = { ARG_VM },
	.options = wait_vm_options,
	.summary = "Wait until a VM, or several, are in a state",
	.help = "--timeout says how long; where that is over the exit code is 8.",
	.examples = "virtx wait vm --for running web\n"
		    "virtx wait vm --for poweroff --timeout 60 web db\n"
		    "virtx wait vm --for gone --filter custom.owner=ann\n",
	.run = wait_vm,
	.needed = 'f',
	.several = &wait_vm_several,
};

static enum command_result
wait_operation(struct command_call *call, struct error *err)
{
	return operation_follow(call->client, call->operands[0], err) < 0 ? COMMAND_FAILED
									  : COMMAND_OK;
}

const struct command wait_operation_command = {
	.words = "wait operation",
	.operands = { ARG_OPERATION },
	.summary = "Wait until an operation has ended",
	.help = "The exit code is that of its end, or 8 where it has made no progress within "
		"--timeout.",
	.examples = "virtx wait operation --timeout 600 0be7a710-2222-3333-4444-555555555555\n",
	.run = wait_operation,
};
