/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx cluster status. */
#include <string.h>

#include "proto/model.h"
#include "virtx/host_table.h"
#include "virtx/verbs.h"

/* Each text of it says what is wrong, but for the version. */
static void
add_health(struct buffer *wrong, const struct ready *health)
{
	for (unsigned int i = 0; i < ready_model.n_fields; i++) {
		const struct field *field = &ready_model.fields[i];
		const char *text;

		if (field->kind != KIND_STRING || field->offset == offsetof(struct ready, version))
			continue;
		text = *(char *const *)((const char *)health + field->offset);
		if (!str_empty(text))
			buffer_printf(wrong, "%s%s: %s", wrong->len ? "; " : "", field->name, text);
	}
}

static void
add_problems(struct buffer *wrong, const struct host *host)
{
	for (size_t i = 0; i < host->n_problems; i++)
		buffer_printf(
		    wrong, "%s%s", wrong->len ? "; " : "", str_or_empty(host->problems[i].detail));
}

/* What it says of itself, "" where it has said nothing. */
static void
show_health(struct writer *w, const struct host *host)
{
	const struct ready *health = &host->health;
	bool told = !str_empty(health->version);
	char time[WRITER_TIME_SIZE];

	writer_cell(w, "%s", told ? health->version : "-");
	if (health->certificate_end)
		writer_cell(w, "%.10s", writer_time(health->certificate_end, time));
	else
		writer_cell(w, "-");
	if (host->lockid > 0)
		writer_cell(w, "%d", host->lockid);
	else
		writer_cell(w, "-");
	writer_cell(w, "%s", !told ? "-" : str_empty(health->storage) ? "ok" : "failing");
}

/* What is known of a host beyond the list; only an active one can be asked. */
static void
show_host(const struct command_call *call, const struct host_list_item *item)
{
	struct writer *w = call->writer;
	struct host host = { 0 };
	struct error err = { 0 };
	_buffer_ struct buffer wrong = { 0 };

	if (item->fields.cstate == CSTATE_ACTIVE &&
	    client_get(call->client, ROUTE_HOST_GET, item->uuid, NULL, &host, &err) < 0)
		buffer_printf(&wrong, "%s", err.detail);
	add_health(&wrong, &host.health);
	add_problems(&wrong, &host);
	writer_cell(w, "%s", str_or_empty(item->uuid));
	writer_cell(w, "%s", str_or_empty(item->fields.name));
	writer_cell(w, "%s%s", enum_word(&cstate_enum, item->fields.cstate),
	    item->maintenance ? " (maintenance)" : "");
	show_health(w, &host);
	writer_cell(w, "%+.1f s", (double)item->skew / 1000);
	writer_cell(w, "%s", enum_word(&watchdog_enum, item->watchdog));
	writer_cell(w, "%s", wrong.len ? wrong.data : "-");
	model_clear(&host_model, &host);
}

static enum command_result
cluster_status(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "UUID", "NAME", "STATE", "~VERSION", "~CERTIFICATE",
		"~>LOCKSPACE", "~STORAGE", "~>CLOCK", "~WATCHDOG", "PROBLEMS" };

	return host_table(call, titles, ARRAY_SIZE(titles), show_host, "show the cluster", err);
}

const struct command cluster_status_command = {
	.words = "cluster status",
	.summary = "Show the hosts, with what may be wrong on each",
	.help = "The version of virtxd, until when others take the certificate, the number in\n"
		"sanlock's lockspace, the storage, the clock by that of the host which answers,\n"
		"whether a watchdog protects it, and all that is wrong.",
	.run = cluster_status,
};
