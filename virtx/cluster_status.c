/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster status. */
#include <string.h>

#include "proto/model.h"
#include "virtx/verbs.h"

/* What is known of a host beyond the list; only an active one can be asked. */
static void
show_details(const struct command_call *call, const struct host_list_item *item)
{
	struct writer *w = call->writer;
	struct host host = { 0 };
	struct error err = { 0 };
	_buffer_ struct buffer wrong = { 0 };

	if (item->fields.cstate == CSTATE_ACTIVE &&
	    client_get(call->client, ROUTE_HOST_GET, item->uuid, NULL, &host, &err) < 0)
		buffer_printf(&wrong, "%s", err.detail);
	for (size_t i = 0; i < host.n_problems; i++)
		buffer_printf(
		    &wrong, "%s%s", wrong.len ? "; " : "", str_or_empty(host.problems[i].detail));
	if (host.lockid > 0)
		writer_cell(w, "%d", host.lockid);
	else
		writer_cell(w, "-");
	writer_cell(w, "%s", wrong.len ? wrong.data : "-");
	model_clear(&host_model, &host);
}

static enum command_result
cluster_status(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "UUID", "NAME", "STATE", ">CLOCK", "WATCHDOG",
		">LOCKSPACE", "PROBLEMS" };
	struct host_list_options options = { 0 };
	struct host_list list = { 0 };
	struct writer *w = call->writer;

	if (client_get(call->client, ROUTE_HOST_LIST, NULL, &options, &list, err) < 0) {
		error_wrap(err, "cannot show the cluster");
		return COMMAND_FAILED;
	}
	writer_document(w, &host_list_model, &list);
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list.n_items; i++) {
		const struct host_list_item *item = &list.items[i];

		writer_cell(w, "%s", str_or_empty(item->uuid));
		writer_cell(w, "%s", str_or_empty(item->fields.name));
		writer_cell(w, "%s%s", enum_word(&cstate_enum, item->fields.cstate),
		    item->maintenance ? " (maintenance)" : "");
		writer_cell(w, "%+.1f s", (double)item->skew / 1000);
		writer_cell(w, "%s", enum_word(&watchdog_enum, item->watchdog));
		show_details(call, item);
	}
	writer_end(w);
	model_clear(&host_list_model, &list);
	return COMMAND_OK;
}

const struct command cluster_status_command = {
	.words = "cluster status",
	.summary = "Show the hosts, with what may be wrong on each",
	.help =
	    "Their clocks by that of the host which answers, whether a watchdog protects them,\n"
	    "and their numbers in sanlock's lockspace.",
	.run = cluster_status,
};
