/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx forget host. */
#include "virtx/operation.h"
#include "virtx/verbs.h"

static enum command_result
forget_host(struct command_call *call, struct error *err)
{
	char uuid[37];

	if (command_uuid("host", call->operands[0], uuid, err) < 0)
		return COMMAND_USAGE;
	if (operation_call(call->client, ROUTE_HOST_FORGET, uuid, NULL, false, NULL, NULL, err) ==
	    0)
		return COMMAND_OK;
	error_wrap(err, "cannot forget host '%s'", uuid);
	return COMMAND_FAILED;
}

const struct command forget_host_command = {
	.words = "forget host",
	.operands = { ARG_HOST },
	.summary = "Forget a host that has left or failed, and its VMs",
	.help = "All hosts that are active forget it. It comes back when it is active again; where "
		"hosts\n"
		"have certificates it is put out until it joins by a token of 'virtx cluster token "
		"-h'.",
	.run = forget_host,
};
