/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx forget host. */
#include "virtx/operation.h"
#include "virtx/verbs.h"

enum command_result
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
