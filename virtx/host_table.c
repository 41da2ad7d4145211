/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/host_table.h"

#include "virtx/verbs.h"

enum command_result
host_table(struct command_call *call, const char *const *titles, size_t n_titles,
    host_table_show show, const char *what, struct error *err)
{
	struct host_list_options options = { 0 };
	struct host_list list = { 0 };
	struct writer *w = call->writer;

	if (client_get(call->client, ROUTE_HOST_LIST, NULL, &options, &list, err) < 0) {
		error_wrap(err, "cannot %s", what);
		return COMMAND_FAILED;
	}
	writer_document(w, &host_list_model, &list);
	writer_begin(w, titles, n_titles);
	for (size_t i = 0; i < list.n_items; i++)
		show(call, &list.items[i]);
	writer_end(w);
	model_clear(&host_list_model, &list);
	return COMMAND_OK;
}
