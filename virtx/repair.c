/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx repair. */
#include "proto/model.h"
#include "virtx/verbs.h"

static const struct option_row repair_options[] = {
	{ 'h', "host", ARG_HOST, "only this host (default: all that are active, one by one)" },
	{ 'y', "yes", NULL, "do it (default: tell what would be done)" },
	{ 's', "storage", NULL, "delete the images of VMs that are gone, too" },
	{ 'd', "define", NULL, "define VMs that are in the registry and not in libvirt" },
	{ 0 },
};

/* What is on the storage is found by every host. */
static bool
is_known(const struct repair_list *all, const struct repair_item *item)
{
	for (size_t i = 0; i < all->n_items; i++) {
		const struct repair_item *other = &all->items[i];

		if (!str_empty(item->path) && str_equal(other->kind, item->kind) &&
		    str_equal(other->path, item->path) && other->done == item->done)
			return true;
	}
	return false;
}

static int
repair_host(struct command_call *call, const char *host, const struct repair_options *options,
    struct repair_list *all, struct error *err)
{
	struct repair_list list = { 0 };
	int r = client_get(call->client, ROUTE_HOST_REPAIR, host, options, &list, err);

	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		if (!is_known(all, &list.items[i]))
			model_copy(&repair_item_model, model_append(&all->items, &all->n_items),
			    &list.items[i]);
	}
	model_clear(&repair_list_model, &list);
	return r < 0 ? error_wrap(err, "cannot repair host '%s'", host) : 0;
}

static int
repair_hosts(struct command_call *call, const struct repair_options *options,
    struct repair_list *all, struct error *err)
{
	struct host_list_options active = { .filter.cstate = CSTATE_ACTIVE };
	struct host_list hosts = { 0 };
	int r = client_get(call->client, ROUTE_HOST_LIST, NULL, &active, &hosts, err);

	if (r < 0)
		error_wrap(err, "cannot list the hosts");
	for (size_t i = 0; r == 0 && i < hosts.n_items; i++)
		r = repair_host(call, hosts.items[i].uuid, options, all, err);
	model_clear(&host_list_model, &hosts);
	return r;
}

static void
show(struct writer *w, const struct repair_list *list, bool apply)
{
	static const char *const titles[] = { "PROBLEM", "VM", "PATH", "ACTION", "DONE", "DETAIL" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list->n_items; i++) {
		const struct repair_item *item = &list->items[i];

		writer_cell(w, "%s", str_or_empty(item->kind));
		writer_cell(w, "%s", str_or_empty(item->vm));
		writer_cell(w, "%s", str_or_empty(item->path));
		writer_cell(w, "%s", str_or_empty(item->action));
		writer_cell(w, "%s", item->done ? "yes" : apply ? "no" : "dry run");
		writer_cell(w, "%s", str_or_empty(item->detail));
	}
	writer_end(w);
}

static enum command_result
repair(struct command_call *call, struct error *err)
{
	struct repair_options options = {
		.apply = call->counts['y'] > 0,
		.deletestorage = call->counts['s'] > 0,
		.define = call->counts['d'] > 0,
	};
	struct repair_list all = { 0 };
	const char *host = call->values['h'];
	int r = host ? repair_host(call, host, &options, &all, err)
		     : repair_hosts(call, &options, &all, err);

	/* What was done on the hosts before one failed is told, too. */
	if (r == 0 || all.n_items > 0) {
		writer_document(call->writer, &repair_list_model, &all);
		show(call->writer, &all, options.apply);
	}
	model_clear(&repair_list_model, &all);
	return r < 0 ? COMMAND_FAILED : COMMAND_OK;
}

const struct command repair_command = {
	.words = "repair",
	.options = repair_options,
	.summary = "Show, or put in order, what failures left behind",
	.examples = "virtx repair\n"
		    "virtx repair -y\n",
	.run = repair,
};
