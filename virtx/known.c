/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/known.h"

#include "proto/model.h"

static void
known_add(struct known_list *known, const char *id, char *name)
{
	struct known *item = model_append(&known->items, &known->n);

	item->id = xstrdup(str_or_empty(id));
	item->name = name;
}

void
known_clear(struct known_list *known)
{
	for (size_t i = 0; i < known->n; i++) {
		free(known->items[i].id);
		free(known->items[i].name);
	}
	free(known->items);
	*known = (struct known_list){ 0 };
}

int
known_vms(
    const struct client *client, const char *name, struct known_list *known, struct error *err)
{
	const struct vm_list_options options = { .filter.name = (char *)name };
	struct vm_list list = { 0 };
	int r = client_get(client, ROUTE_VM_LIST, NULL, &options, &list, err);

	for (size_t i = 0; i < list.n_items; i++)
		known_add(
		    known, list.items[i].uuid, xstrdup(str_or_empty(list.items[i].fields.name)));
	model_clear(&vm_list_model, &list);
	return r;
}

int
known_hosts(
    const struct client *client, const char *name, struct known_list *known, struct error *err)
{
	const struct host_list_options options = { .filter.name = (char *)name };
	struct host_list list = { 0 };
	int r = client_get(client, ROUTE_HOST_LIST, NULL, &options, &list, err);

	for (size_t i = 0; i < list.n_items; i++)
		known_add(
		    known, list.items[i].uuid, xstrdup(str_or_empty(list.items[i].fields.name)));
	model_clear(&host_list_model, &list);
	return r;
}

int
known_operations(
    const struct client *client, const char *name, struct known_list *known, struct error *err)
{
	struct operation_list list = { 0 };
	int r = client_get(client, ROUTE_OPERATION_LIST, NULL, NULL, &list, err);

	for (size_t i = 0; i < list.n_items; i++)
		known_add(known, list.items[i].id,
		    xasprintf("%s %s", str_or_empty(list.items[i].op),
			str_or_empty(list.items[i].state)));
	model_clear(&operation_list_model, &list);
	return r;
}
