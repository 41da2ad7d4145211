/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/named.h"

#include <string.h>
#include <strings.h>

#include "proto/uuid.h"
#include "virtx/several.h"

#define CANDIDATES_MAX 8 /* that an error lists */

/* What is asked for, of one kind. */
struct inquiry {
	const char *kind; /* "VM" */
	known_ask ask;
};

static const struct inquiry vm_inquiry = { "VM", known_vms };
static const struct inquiry host_inquiry = { "host", known_hosts };

static const struct inquiry *
inquiry_of(const struct argument *argument)
{
	if (!argument)
		return NULL;
	if (argument->kind == ARGUMENT_VM)
		return &vm_inquiry;
	return argument->kind == ARGUMENT_HOST ? &host_inquiry : NULL;
}

/* Texts that the call has while it runs. */
struct texts {
	char **items;
	size_t n;
	bool missing; /* the server has told that none is called as one of the call */
};

static const char *
keep(struct texts *texts, char *text)
{
	*model_append(&texts->items, &texts->n) = text;
	return text;
}

/* What messages call it; name may be NULL. */
static const char *
keep_shown(struct texts *texts, const char *name, const char *id)
{
	_free_ char *text =
	    str_empty(name) ? xasprintf("'%s'", id) : xasprintf("'%s' (%s)", name, id);

	return keep(texts, writer_safe(text));
}

static void
texts_clear(struct texts *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		free(texts->items[i]);
	free(texts->items);
}

/* Whether it may be the start of a UUID. */
static bool
is_prefix(const char *text)
{
	size_t len = strlen(text);

	return len >= NAMED_PREFIX_MIN && len < UUID_TEXT_SIZE &&
	       strspn(text, "0123456789abcdefABCDEF-") == len;
}

static bool
has_name(const struct known *item, const char *text)
{
	return strcmp(item->name, text) == 0;
}

static bool
starts_so(const struct known *item, const char *text)
{
	return strncasecmp(item->id, text, strlen(text)) == 0;
}

static bool
has_in_name(const struct known *item, const char *text)
{
	return strstr(item->name, text) != NULL;
}

/* How many there are, the last of them in *ret. */
static size_t
count(const struct known_list *known, bool (*fits)(const struct known *, const char *),
    const char *text, const struct known **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < known->n; i++) {
		if (!fits(&known->items[i], text))
			continue;
		*ret = &known->items[i];
		n++;
	}
	return n;
}

/* Behind what err has: ": 'web' (UUID), ..." */
static void
add_candidates(const struct known_list *known, bool (*fits)(const struct known *, const char *),
    const char *text, size_t n, struct error *err)
{
	_buffer_ struct buffer list = { 0 };
	size_t shown = 0;

	for (size_t i = 0; i < known->n && shown < CANDIDATES_MAX; i++) {
		const struct known *item = &known->items[i];

		if (fits(item, text))
			buffer_printf(
			    &list, "%s'%s' (%s)", shown++ ? ", " : "", item->name, item->id);
	}
	if (n > shown)
		buffer_printf(&list, " and %zu more", n - shown);
	if (shown > 0)
		error_append(err, "%s", list.data);
}

/* The only one that fits, NULL with err set. */
static const struct known *
choose(const struct inquiry *inquiry, const struct known_list *known, const char *text,
    struct error *err)
{
	const struct known *found = NULL;
	bool by_name = true;
	size_t n = count(known, has_name, text, &found);

	if (n == 0 && is_prefix(text)) {
		by_name = false;
		n = count(known, starts_so, text, &found);
	}
	if (n == 1)
		return found;
	if (n > 1) {
		error_set(err, 409,
		    by_name ? "%zu %ss are called '%s': a UUID says which"
			    : "the UUIDs of %zu %ss start with '%s'",
		    n, inquiry->kind, text);
		add_candidates(known, by_name ? has_name : starts_so, text, n, err);
		return NULL;
	}
	error_set(err, 404, "no %s is called '%s'%s", inquiry->kind, text,
	    is_prefix(text) ? ", nor does the UUID of one start so" : "");
	n = count(known, has_in_name, text, &found);
	if (n > 0) {
		error_append(err, "with that in the name");
		add_candidates(known, has_in_name, text, n, err);
	}
	return NULL;
}

/* Replaces *text by the UUID of what it names; *shown is what messages call it. */
static enum command_result
find(const struct command_call *call, const struct inquiry *inquiry, const char **text,
    const char **shown, struct texts *texts, struct error *err)
{
	_known_ struct known_list known = { 0 };
	const struct known *found;
	char uuid[UUID_TEXT_SIZE];

	if (!**text) {
		error_set(err, CLIENT_ERROR_STATUS, "'' names no %s", inquiry->kind);
		return COMMAND_USAGE;
	}
	if (uuid_normalize(*text, uuid) == 0) {
		*text = keep(texts, xstrdup(uuid));
		*shown = keep_shown(texts, NULL, uuid);
		return COMMAND_OK;
	}
	/* A name may be any text, the start of a UUID is in no name. */
	if (inquiry->ask(call->client, is_prefix(*text) ? "" : *text, &known, err) < 0) {
		error_wrap(err, "cannot look for %s '%s'", inquiry->kind, *text);
		return COMMAND_FAILED;
	}
	found = choose(inquiry, &known, *text, err);
	if (!found) {
		texts->missing = error_is(err, ERROR_NOT_FOUND);
		return COMMAND_FAILED;
	}
	if (uuid_normalize(found->id, uuid) < 0) {
		error_set(err, CLIENT_ERROR_STATUS, "the server's answer: %s '%s' has no UUID",
		    inquiry->kind, *text);
		return COMMAND_FAILED;
	}
	*text = keep(texts, xstrdup(uuid));
	*shown = keep_shown(texts, found->name, uuid);
	return COMMAND_OK;
}

static enum command_result
find_all(struct command_call *call, struct texts *texts, struct error *err)
{
	const struct command *command = call->command;
	enum command_result result = COMMAND_OK;
	const char *ignored;

	for (size_t i = 0; result == COMMAND_OK && command->operands[i]; i++) {
		const struct inquiry *inquiry = inquiry_of(command->operands[i]);

		if (!call->operands[i])
			break;
		call->shown[i] = keep_shown(texts, NULL, call->operands[i]);
		if (inquiry && !command->local)
			result =
			    find(call, inquiry, &call->operands[i], &call->shown[i], texts, err);
	}
	for (const struct option_row *row = command->options; row && row->letter; row++) {
		const struct inquiry *inquiry = inquiry_of(row->arg);

		if (result == COMMAND_OK && inquiry && !command->local && call->values[row->letter])
			result =
			    find(call, inquiry, &call->values[row->letter], &ignored, texts, err);
	}
	return result;
}

/* Adds what a UUID, a name or the start of a UUID means, once. */
static int
add_vm(const struct known_list *all, const char *text, struct known_list *ret, struct error *err)
{
	const struct known *found = NULL;
	char uuid[UUID_TEXT_SIZE];
	struct known *item;

	if (uuid_normalize(text, uuid) == 0) {
		(void)count(all, starts_so, uuid, &found);
	} else {
		found = choose(&vm_inquiry, all, text, err);
		if (!found)
			return -1;
		if (uuid_normalize(found->id, uuid) < 0)
			return error_set(err, CLIENT_ERROR_STATUS,
			    "the server's answer: VM '%s' has no UUID", text);
	}
	for (size_t i = 0; i < ret->n; i++)
		if (strcmp(ret->items[i].id, uuid) == 0)
			return 0;
	item = model_append(&ret->items, &ret->n);
	item->id = xstrdup(uuid);
	item->name = xstrdup(found ? found->name : "");
	return 0;
}

/* One that is named is gone, and nothing is to be done. */
static void
add_gone(const char *text, struct known_list *ret)
{
	struct known *item;

	for (size_t i = 0; i < ret->n; i++)
		if (ret->items[i].already && strcmp(ret->items[i].name, text) == 0)
			return;
	item = model_append(&ret->items, &ret->n);
	item->id = xstrdup("");
	item->name = xstrdup(text);
	item->already = "gone";
}

/* All that are named, of which each is there before anything is done. The server is asked once, and
 * not where there are UUIDs alone. */
static enum command_result
find_several(const struct command_call *call, struct known_list *ret, struct error *err)
{
	_known_ struct known_list all = { 0 };
	char uuid[UUID_TEXT_SIZE];
	bool ask = false;

	for (size_t i = 0; i < call->n_named; i++) {
		if (!*call->named[i]) {
			error_set(err, CLIENT_ERROR_STATUS, "'' names no VM");
			return COMMAND_USAGE;
		}
		ask = ask || uuid_normalize(call->named[i], uuid) < 0;
	}
	if (ask && known_vms(call->client, "", &all, err) < 0) {
		error_wrap(err, "cannot look for VMs");
		return COMMAND_FAILED;
	}
	for (size_t i = 0; i < call->n_named; i++) {
		if (add_vm(&all, call->named[i], ret, err) == 0)
			continue;
		if (!error_is(err, ERROR_NOT_FOUND) || !several_may_be_gone(call))
			return COMMAND_FAILED;
		add_gone(call->named[i], ret);
	}
	return COMMAND_OK;
}

static enum command_result
run_several(struct command_call *call, struct error *err)
{
	_known_ struct known_list known = { 0 };
	enum command_result result =
	    call->n_named > 0 ? find_several(call, &known, err) : several_select(call, &known, err);

	return result == COMMAND_OK ? several_run(call, &known, err) : result;
}

enum command_result
named_run(struct command_call *call, struct error *err)
{
	struct texts texts = { 0 };
	enum command_result result;

	call->since = monotonic_ms();
	result = find_all(call, &texts, err);
	if (result == COMMAND_OK)
		result = command_is_for_several(call) ? run_several(call, err)
						      : call->command->run(call, err);
	else if (texts.missing && several_may_be_gone(call))
		result = COMMAND_OK;
	texts_clear(&texts);
	return result;
}

int
named_find_vm(const struct client *client, const char *name, char *uuid, struct error *err)
{
	_known_ struct known_list known = { 0 };
	const struct known *found = NULL;
	size_t n;

	if (known_vms(client, name, &known, err) < 0)
		return error_wrap(err, "cannot look for VM '%s'", name);
	n = count(&known, has_name, name, &found);
	if (n == 0)
		return 0;
	if (n > 1) {
		error_set(err, 409, "%zu VMs are called '%s'", n, name);
		add_candidates(&known, has_name, name, n, err);
		return -1;
	}
	if (uuid_normalize(found->id, uuid) < 0)
		return error_set(
		    err, CLIENT_ERROR_STATUS, "the server's answer: VM '%s' has no UUID", name);
	return 1;
}
