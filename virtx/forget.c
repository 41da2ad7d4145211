/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx forget host. */
#include "virtx/operation.h"
#include "virtx/verbs.h"

static const struct option_row forget_host_options[] = {
	{ 'p', "put-out", NULL, "put it out of the cluster also while it is active" },
	{ 0 },
};

static enum command_result
forget_host(struct command_call *call, struct error *err)
{
	struct client client = *call->client;
	bool puts_out = call->counts['p'] > 0;

	if (puts_out)
		client.query = "put_out=true";
	if (operation_call(
		&client, ROUTE_HOST_FORGET, call->operands[0], NULL, false, NULL, NULL, err) == 0)
		return COMMAND_OK;
	error_wrap(
	    err, puts_out ? "cannot put host %s out" : "cannot forget host %s", call->shown[0]);
	return COMMAND_FAILED;
}

const struct command forget_host_command = {
	.words = "forget host",
	.operands = { ARG_HOST },
	.options = forget_host_options,
	.summary = "Forget a host that has left or failed, and its VMs",
	.help = "All hosts that are active forget it. It comes back when it is active again; where "
		"hosts\n"
		"have certificates it is put out until it joins by a token of 'virtx cluster token "
		"-h'.\n"
		"With -p that is done to one that is active, as when somebody has broken into it: "
		"its\n"
		"VMs run on there, and serf and the storage have to refuse it, too.",
	.examples = "virtx forget host -p h1\n",
	.run = forget_host,
};
