/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx token create|list|revoke. */
#include "proto/token.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtx/operation.h"
#include "virtx/secret_file.h"
#include "virtx/verbs.h"

#define ARG_TOKEN ARG_TEXT("NAME")

static const struct option_row token_create_options[] = {
	{ 'r', "role", ARG_WORD("ROLE", &role_enum, ROLE_VIEWER),
	    "what it allows: viewer, operator or admin" },
	{ 'e', "expires", ARG_TEXT("TIME"),
	    "for how long, as 90d, 12h or 30m (default: for ever)" },
	{ 'O', "only", ARG_TEXT("NAME=VALUE"), "only VMs with this custom field" },
	{ 'f', "secret-file", ARG_FILE, "where the secret goes, instead of being printed" },
	{ 0 },
};

/* Splits NAME=VALUE; what is borrowed of *copy, the caller frees. */
static int
read_only(const char *text, char **copy, struct custom_field *ret, struct error *err)
{
	char *equals;

	*copy = xstrdup(text);
	equals = strchr(*copy, '=');
	if (!equals || equals == *copy || !equals[1])
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--only: '%s' is not NAME=VALUE, a custom field of VMs", text);
	*equals = '\0';
	*ret = (struct custom_field){ *copy, equals + 1 };
	return 0;
}

/* Makes it with the server, and hands its secret out. */
static int
make_token(
    struct command_call *call, const struct token_options *options, int fd, struct error *err)
{
	struct token_made made = { 0 };
	int rc = 0;

	if (client_get(call->client, ROUTE_TOKEN_CREATE, NULL, options, &made, err) < 0)
		return error_wrap(err, "cannot make token '%s'", options->name);
	if (fd >= 0)
		rc = secret_file_write(fd, call->values['f'], str_or_empty(made.secret), err);
	else
		writer_text(call->writer, str_or_empty(made.secret));
	if (made.secret)
		explicit_bzero(made.secret, strlen(made.secret));
	model_clear(&token_made_model, &made);
	if (rc < 0)
		error_append(err, "the token is made: revoke it");
	return rc;
}

static enum command_result
token_create(struct command_call *call, struct error *err)
{
	struct token_options options = { .name = (char *)call->operands[0] };
	const char *file = call->values['f'];
	_free_ char *only = NULL;
	_close_ int fd = -1;
	int role;

	if (command_enum(call, 'r', &role, err) < 0 ||
	    (call->values['O'] && read_only(call->values['O'], &only, &options.only, err) < 0) ||
	    (call->values['e'] && command_lifetime(call->values['e'], TOKEN_LIFETIME_MAX,
				      &options.lifetime, err) < 0))
		return COMMAND_USAGE;
	if (role == ROLE_NONE) {
		error_set(err, CLIENT_ERROR_STATUS, "--role: viewer, operator or admin is needed");
		return COMMAND_USAGE;
	}
	options.role = (enum role)role;
	/* First, as the secret is told only once. */
	if (file && (fd = secret_file_make(file, err)) < 0)
		return COMMAND_FAILED;
	if (make_token(call, &options, fd, err) < 0) {
		if (file)
			unlink(file);
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}

const struct command token_create_command = {
	.words = "token create",
	.operands = { ARG_TOKEN },
	.options = token_create_options,
	.summary = "Make a token, and print its secret",
	.help = "The secret is shown this once. Whoever has it may do what the role allows.\n"
		"With --only there are no other VMs for it than those with that custom field, and\n"
		"nothing that concerns hosts or tokens can be changed by it.",
	.examples = "virtx token create grafana --role viewer\n"
		    "virtx token create ci --role operator --expires 90d --secret-file ci.token\n"
		    "virtx token create alice --role operator --only owner=alice\n",
	.run = token_create,
};

static enum command_result
token_list(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "NAME", "ROLE", "CREATED", "BY", "EXPIRES", "ONLY" };
	struct token_list list = { 0 };
	struct writer *w = call->writer;
	char time[WRITER_TIME_SIZE];

	if (client_get(call->client, ROUTE_TOKEN_LIST, NULL, NULL, &list, err) < 0) {
		error_wrap(err, "cannot list tokens");
		return COMMAND_FAILED;
	}
	writer_document(w, &token_list_model, &list);
	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < list.n_items; i++) {
		const struct token *token = &list.items[i];
		bool over = token->expires && token->expires <= now_ms();

		writer_cell(w, "%s", str_or_empty(token->name));
		writer_cell(w, "%s", enum_word(&role_enum, token->role));
		writer_cell(w, "%s", writer_time(token->created, time));
		writer_cell(w, "%s", str_or_empty(token->user));
		writer_cell(w, "%s%s", token->expires ? writer_time(token->expires, time) : "never",
		    over ? " (over)" : "");
		if (str_empty(token->only.name))
			writer_cell(w, "-");
		else
			writer_cell(w, "%s=%s", token->only.name, str_or_empty(token->only.value));
	}
	writer_end(w);
	model_clear(&token_list_model, &list);
	return COMMAND_OK;
}

const struct command token_list_command = {
	.words = "token list",
	.summary = "List the tokens",
	.run = token_list,
};

static enum command_result
token_revoke(struct command_call *call, struct error *err)
{
	const char *name = call->operands[0];

	if (operation_call(call->client, ROUTE_TOKEN_REVOKE, name, NULL, false, NULL, NULL, err) ==
	    0)
		return COMMAND_OK;
	error_wrap(err, "cannot revoke token '%s'", name);
	return COMMAND_FAILED;
}

const struct command token_revoke_command = {
	.words = "token revoke",
	.operands = { ARG_TOKEN },
	.summary = "Revoke a token: nobody gets in by it any more",
	.help = "At once on the host that answers, on the others within 2 seconds.",
	.examples = "virtx token revoke ci\n",
	.run = token_revoke,
};
