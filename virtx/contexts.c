/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx context list|show|use. */
#include <stdio.h>
#include <string.h>

#include "proto/pki.h"
#include "virtx/choice.h"
#include "virtx/context.h"
#include "virtx/verbs.h"

#define HERE "this host" /* in the place of a server */

/* What is shown of one: no secret is. */
struct context_shown {
	char *name;
	char *server;
	char *fingerprint; /* of its CA, "" where the system knows that */
	bool token;	   /* there is one */
	bool used;	   /* commands take it here */
};

static const struct field context_shown_fields[] = {
	FIELD("name", struct context_shown, name),
	FIELD("server", struct context_shown, server),
	FIELD("fingerprint", struct context_shown, fingerprint),
	FIELD("token", struct context_shown, token),
	FIELD("used", struct context_shown, used),
};
static const struct model context_shown_model = { "Context", sizeof(struct context_shown),
	context_shown_fields, ARRAY_SIZE(context_shown_fields) };

struct context_shown_list {
	struct context_shown *items;
	size_t n_items;
};

static const struct field context_shown_list_fields[] = {
	FIELD_ARRAY("items", struct context_shown_list, items, context_shown),
};
static const struct model context_shown_list_model = { "ContextList",
	sizeof(struct context_shown_list), context_shown_list_fields,
	ARRAY_SIZE(context_shown_list_fields) };

/* used is what commands take, NULL for a server that is named otherwise. */
static int
look_at(const char *name, const char *used, struct context_shown *ret, struct error *err)
{
	_context_ struct context context = { 0 };
	char fingerprint[PKI_FINGERPRINT_SIZE], shown[PKI_SHOWN_SIZE] = "";
	int rc = 1;

	if (strcmp(name, CONTEXT_NONE) == 0)
		context.server = xstrdup(HERE);
	else
		rc = context_read(name, &context, err);
	if (rc == 0)
		return error_set(err, CLIENT_ERROR_STATUS, "there is no context '%s'", name);
	if (rc < 0)
		return -1;
	if (!str_empty(context.ca)) {
		if (pki_fingerprint(context.ca, fingerprint, err) < 0)
			return error_wrap(err, "context '%s'", name);
		pki_fingerprint_show(fingerprint, shown);
	}
	ret->name = xstrdup(name);
	ret->server = steal_ptr(context.server);
	ret->fingerprint = xstrdup(shown);
	ret->token = !str_empty(context.token);
	ret->used = used && strcmp(used, name) == 0;
	return 0;
}

/* One that cannot be read is left out, and told. */
static void
add_row(struct context_shown_list *list, const char *name, const char *used)
{
	struct context_shown shown = { 0 };
	struct error err = { 0 };

	if (look_at(name, used, &shown, &err) == 0) {
		*model_append(&list->items, &list->n_items) = shown;
	} else {
		_free_ char *safe = writer_safe(err.detail);

		fprintf(stderr, "virtx: warning: %s\n", safe);
	}
}

static enum command_result
context_list_verb(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "NAME", "SERVER", "TOKEN", "USED" };
	const struct choice options = choice_of(call);
	struct context_shown_list list = { 0 };
	struct writer *w = call->writer;
	struct context_names names = { 0 };
	_free_ char *used = NULL;

	if (choice_context(&options, &used, err) < 0 || context_list(&names, err) < 0)
		return COMMAND_FAILED;
	add_row(&list, CONTEXT_NONE, used);
	for (size_t i = 0; i < names.n; i++)
		add_row(&list, names.items[i], used);
	context_names_clear(&names);
	writer_document(w, &context_shown_list_model, &list);
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list.n_items; i++) {
		writer_cell(w, "%s", list.items[i].name);
		writer_cell(w, "%s", list.items[i].server);
		writer_cell(w, "%s", list.items[i].token ? "kept" : "-");
		writer_cell(w, "%s", list.items[i].used ? "yes" : "-");
	}
	writer_end(w);
	model_clear(&context_shown_list_model, &list);
	return COMMAND_OK;
}

const struct command context_list_command = {
	.words = "context list",
	.summary = "List the servers that 'virtx login' keeps",
	.run = context_list_verb,
	.local = true,
};

static enum command_result
context_show(struct command_call *call, struct error *err)
{
	const struct choice options = choice_of(call);
	struct context_shown shown = { 0 };
	struct writer *w = call->writer;
	_free_ char *used = NULL;
	const char *name = call->operands[0];

	if (choice_context(&options, &used, err) < 0)
		return COMMAND_FAILED;
	if (!name && !used) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "no context is used here, as a server is named by -A or VIRTX_API_SERVER");
		return COMMAND_FAILED;
	}
	if (look_at(name ? name : used, used, &shown, err) < 0)
		return COMMAND_FAILED;
	writer_document(w, &context_shown_model, &shown);
	writer_field(w, "name", "%s", shown.name);
	writer_field(w, "server", "%s", shown.server);
	writer_field(w, "fingerprint of its CA", "%s", shown.fingerprint);
	writer_field(w, "token", "%s", shown.token ? "kept" : "");
	writer_field(w, "used", "%s", shown.used ? "yes" : "no");
	model_clear(&context_shown_model, &shown);
	return COMMAND_OK;
}

const struct command context_show_command = {
	.words = "context show",
	.operands = { ARG_CONTEXT_USED },
	.summary = "Show a context, without its token",
	.help = "Without NAME the one that commands take here.",
	.run = context_show,
	.local = true,
};

static enum command_result
context_use_verb(struct command_call *call, struct error *err)
{
	const char *name = call->operands[0];

	if (context_use(name, err) < 0)
		return COMMAND_FAILED;
	choice_warn(name);
	return COMMAND_OK;
}

const struct command context_use_command = {
	.words = "context use",
	.operands = { ARG_CONTEXT },
	.summary = "Send the commands that follow to the server of a context",
	.help = "'" CONTEXT_NONE "' is " HERE ", as without any. -A, --context, VIRTX_API_SERVER\n"
		"and VIRTX_CONTEXT come first.",
	.examples = "virtx context use lab\n"
		    "virtx context use " CONTEXT_NONE "\n",
	.run = context_use_verb,
	.local = true,
};
