/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VMs a command for several is for. */
#include <stdio.h>
#include <string.h>

#include "proto/uuid.h"
#include "virtx/several.h"
#include "virtx/vm_table.h"

#define CUSTOM "custom."

/* A term that fits every VM is mostly a variable of a script that is not set: nobody means all of
 * them by it. */
static int
check_term(const char *term, size_t len, size_t name, struct error *err)
{
	if (len == 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--filter: there is an empty term, and --all is for all VMs");
	if ((term[name] == '~' && name + 1 == len) ||
	    (term[name] == '!' && term[name + 1] == '=' && name + 2 == len))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--filter: '%.*s' fits all VMs, and --all is for that", (int)len, term);
	return 0;
}

/* Takes custom.NAME=VALUE out of the terms of a filter, as the server alone knows custom fields:
 * *rest has the other ones, NULL for none. */
static int
split_custom(const char *filter, struct custom_field *custom, char **rest, struct error *err)
{
	_buffer_ struct buffer others = { 0 };

	for (const char *at = filter; at;) {
		size_t len = strcspn(at, ","), name = strcspn(at, "=~!,");
		size_t skip = strlen(CUSTOM);

		if (check_term(at, len, name, err) < 0)
			return -1;
		if (strncmp(at, CUSTOM, skip) != 0) {
			buffer_printf(&others, "%s%.*s", others.len > 0 ? "," : "", (int)len, at);
		} else if (at[name] != '=' || name <= skip || name + 1 >= len || custom->name) {
			return error_set(err, CLIENT_ERROR_STATUS,
			    "--filter: '%.*s': a custom field is asked for as custom.NAME=VALUE, "
			    "and only one",
			    (int)len, at);
		} else {
			custom->name = xstrndup(at + skip, name - skip);
			custom->value = xstrndup(at + name + 1, len - name - 1);
		}
		at = at[len] ? at + len + 1 : NULL;
	}
	if (others.len > 0)
		*rest = buffer_steal(&others, NULL);
	return 0;
}

/* A server that does not know the filter, or has not got it, answers with all VMs. */
static int
check_custom(const struct vm_list *list, const struct custom_field *wanted, struct error *err)
{
	for (size_t i = 0; i < list->n_items; i++) {
		const struct vm_list_item *item = &list->items[i];

		if (!str_empty(wanted->name) &&
		    (!str_equal(item->fields.custom.name, wanted->name) ||
			!str_equal(item->fields.custom.value, wanted->value)))
			return error_set(err, CLIENT_ERROR_STATUS,
			    "the server's answer: VM '%s' is not known to have %s=%s, which was "
			    "asked for",
			    str_or_empty(item->uuid), wanted->name, wanted->value);
	}
	return 0;
}

/* Those of the list that the filter of tables leaves. A wrong filter is the user's. */
static enum command_result
select_rows(
    const struct vm_list *list, const char *filter, struct known_list *known, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	struct writer scratch = { .out = open_memstream(&text, &len) };
	struct view view = { 0 };
	enum command_result result = COMMAND_OK;

	scratch.table.filter = filter;
	vm_table_begin(&scratch, list, false);
	if (view_make(&scratch.table, &view, err) < 0)
		result = COMMAND_USAGE;
	for (size_t i = 0; result == COMMAND_OK && i < view.n_rows; i++) {
		const struct vm_list_item *item = &list->items[view.rows[i]];
		const char *name = str_or_empty(item->fields.name);
		char uuid[UUID_TEXT_SIZE];
		struct known *one;

		if (uuid_normalize(str_or_empty(item->uuid), uuid) < 0) {
			result = COMMAND_FAILED;
			error_set(err, CLIENT_ERROR_STATUS,
			    "the server's answer: VM '%s' has no UUID", name);
			break;
		}
		one = model_append(&known->items, &known->n);
		one->id = xstrdup(uuid);
		one->name = xstrdup(name);
	}
	view_clear(&view);
	writer_end(&scratch);
	fclose(scratch.out);
	free(text);
	return result;
}

bool
several_may_be_gone(const struct command_call *call)
{
	const struct several *several = call->command->several;

	return several && several->may_be_gone && several->may_be_gone(call);
}

enum command_result
several_select(const struct command_call *call, struct known_list *known, struct error *err)
{
	const char *filter = call->values[COMMAND_OPTION_FILTER];
	struct vm_list_options options = { 0 };
	struct vm_list list = { 0 };
	_free_ char *rest = NULL;
	enum command_result result = COMMAND_OK;

	if (split_custom(filter, &options.filter.custom, &rest, err) < 0)
		result = COMMAND_USAGE;
	if (result == COMMAND_OK &&
	    client_get(call->client, ROUTE_VM_LIST, NULL, &options, &list, err) < 0) {
		error_wrap(err, "cannot look for VMs");
		result = COMMAND_FAILED;
	}
	if (result == COMMAND_OK && check_custom(&list, &options.filter.custom, err) < 0)
		result = COMMAND_FAILED;
	if (result == COMMAND_OK)
		result = select_rows(&list, rest, known, err);
	if (result == COMMAND_OK && known->n == 0 && !several_may_be_gone(call)) {
		error_set(err, 404,
		    filter ? "no VM fits --filter '%s': nothing is done"
			   : "there is no VM: nothing is done",
		    filter);
		result = COMMAND_FAILED;
	}
	model_clear(&vm_list_options_model, &options);
	model_clear(&vm_list_model, &list);
	return result;
}
