/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx storage init. */
#include "proto/model.h"
#include "virtx/verbs.h"

static enum command_result
storage_init(struct command_call *call, struct error *err)
{
	struct storage storage = { 0 };

	if (client_get(call->client, ROUTE_STORAGE_INIT, NULL, NULL, &storage, err) < 0) {
		error_wrap(err, "cannot make the storage");
		return COMMAND_FAILED;
	}
	writer_text(call->writer, str_or_empty(storage.uuid));
	model_clear(&storage_model, &storage);
	return COMMAND_OK;
}

const struct command storage_init_command = {
	.words = "storage init",
	.summary = "Make a new storage for a cluster, and print its UUID",
	.help = "Once for all hosts, when it is mounted on the host of the server.",
	.run = storage_init,
};
