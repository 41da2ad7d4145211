/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/placement.h"

#include "proto/model.h"

static void
show(struct writer *w, const struct placement *placement)
{
	static const char *const titles[] = { "HOST", "NAME", "FEASIBLE", ">MEMORY (MIB)",
		">VCPUS/CPU", ">VMS", "REASON" };

	writer_document(w, &placement_model, placement);
	writer_field(w, "host", "%s", str_or_empty(placement->host));
	writer_field(w, "reason", "%s", str_or_empty(placement->reason));
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < placement->n_candidates; i++) {
		const struct placement_candidate *candidate = &placement->candidates[i];

		writer_cell(w, "%s", str_or_empty(candidate->host));
		writer_cell(w, "%s", str_or_empty(candidate->name));
		writer_cell(w, "%s", candidate->feasible ? "yes" : "no");
		writer_cell(w, "%d", candidate->memory);
		writer_cell(w, "%d.%02d", candidate->cpu / 100, candidate->cpu % 100);
		writer_cell(w, "%d", candidate->vms);
		writer_cell(w, "%s", str_or_empty(candidate->reason));
	}
	writer_end(w);
}

/* One that does not know the parameter would do it. */
static int
check_server(const struct client *client, struct error *err)
{
	_answer_ struct answer answer = { 0 };

	if (client_call(client, ROUTE_HEALTHZ, NULL, NULL, &answer, err) == 0)
		return 0;
	if (error_is(err, ERROR_NOT_FOUND))
		return error_set(err, CLIENT_ERROR_STATUS, "the server knows no dry run");
	return -1;
}

int
placement_call(struct command_call *call, enum route_id id, const char *param, const void *request,
    struct error *err)
{
	struct client client = *call->client;
	_answer_ struct answer answer = { 0 };
	struct placement placement = { 0 };
	int r;

	if (check_server(&client, err) < 0)
		return -1;
	client.query = "dry_run=true";
	client.success = 200;
	if (client_call(&client, id, param, request, &answer, err) < 0)
		return -1;
	r = answer_decode(&answer, &placement_model, &placement, err);
	if (r == 0) {
		show(call->writer, &placement);
		if (str_empty(placement.host))
			r = error_set(err, CLIENT_ERROR_STATUS, "%s", placement.reason);
	}
	model_clear(&placement_model, &placement);
	return r;
}
