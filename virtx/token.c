/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx token create|list|revoke, and user certificate. */
#include "proto/token.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/pki.h"
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

/* What both commands have; *only is borrowed by ret, and the caller's to free. */
static int
read_options(const struct command_call *call, int64_t max, char **only, struct token_options *ret,
    struct error *err)
{
	int role;

	*ret = (struct token_options){ .name = (char *)call->operands[0] };
	if (command_enum(call, 'r', &role, err) < 0 ||
	    (call->values['O'] && read_only(call->values['O'], only, &ret->only, err) < 0) ||
	    (call->values['e'] &&
		command_lifetime(call->values['e'], max, &ret->lifetime, err) < 0))
		return -1;
	if (role == ROLE_NONE)
		return error_set(
		    err, CLIENT_ERROR_STATUS, "--role: viewer, operator or admin is needed");
	ret->role = (enum role)role;
	return 0;
}

static enum command_result
token_create(struct command_call *call, struct error *err)
{
	const char *file = call->values['f'];
	struct token_options options;
	_free_ char *only = NULL;
	_close_ int fd = -1;

	if (read_options(call, TOKEN_LIFETIME_MAX, &only, &options, err) < 0)
		return COMMAND_USAGE;
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

static const struct option_row user_certificate_options[] = {
	{ 'r', "role", ARG_WORD("ROLE", &role_enum, ROLE_VIEWER),
	    "what it allows: viewer, operator or admin" },
	{ 'e', "expires", ARG_TEXT("TIME"), "for how long, up to 365d, as 30d or 12h (90d)" },
	{ 'O', "only", ARG_TEXT("NAME=VALUE"), "only VMs with this custom field" },
	{ 0 },
};

/* Has the server sign a certificate for a new key, and writes both. */
static int
make_certificate(const struct command_call *call, struct token_options *options,
    const char *const files[2], const int fds[2], struct error *err)
{
	struct token_made made = { 0 };
	char *key = pki_key_new();
	int rc;

	options->request = pki_request_new(key, NULL, 0, err);
	rc = options->request ? secret_file_write(fds[0], files[0], key, err) : -1;
	pki_wipe(key);
	if (rc == 0)
		rc = client_get(call->client, ROUTE_TOKEN_CREATE, NULL, options, &made, err);
	if (rc == 0 &&
	    (rc = secret_file_write(fds[1], files[1], str_or_empty(made.certificate), err)) < 0)
		error_append(err, "the certificate is made: revoke it");
	free(steal_ptr(options->request));
	model_clear(&token_made_model, &made);
	return rc;
}

/* First the files, which have to be new ones. */
static int
make_files(const struct command_call *call, struct token_options *options, struct error *err)
{
	_free_ char *key = xasprintf("%s.key", options->name);
	_free_ char *certificate = xasprintf("%s.pem", options->name);
	const char *const files[] = { key, certificate };
	int fds[] = { -1, -1 }, rc = -1;

	fds[0] = secret_file_make(key, err);
	if (fds[0] >= 0)
		fds[1] = secret_file_make(certificate, err);
	if (fds[1] >= 0)
		rc = make_certificate(call, options, files, fds, err);
	for (size_t i = 0; i < ARRAY_SIZE(fds) && fds[i] >= 0; i++) {
		if (rc < 0)
			unlink(files[i]);
		close(fds[i]);
	}
	if (rc == 0)
		fprintf(call->writer->out, "written: %s, %s\n", key, certificate);
	return rc;
}

static enum command_result
user_certificate(struct command_call *call, struct error *err)
{
	struct token_options options;
	_free_ char *only = NULL;

	if (read_options(call, TOKEN_CERTIFICATE_LIFETIME_MAX, &only, &options, err) < 0)
		return COMMAND_USAGE;
	/* It becomes that of files. */
	if (!token_name_valid(options.name)) {
		error_set(
		    err, CLIENT_ERROR_STATUS, "'%s' cannot be the name of a user", options.name);
		return COMMAND_USAGE;
	}
	if (make_files(call, &options, err) == 0)
		return COMMAND_OK;
	error_wrap(err, "cannot make a certificate for '%s'", options.name);
	return COMMAND_FAILED;
}

const struct command user_certificate_command = {
	.words = "user certificate",
	.operands = { ARG_TEXT("NAME") },
	.options = user_certificate_options,
	.summary = "Make a user's certificate, as NAME.pem, and its key, as NAME.key",
	.help =
	    "By a host that has the key of the cluster's CA, as the first one; the user's key\n"
	    "stays here. Who has both may do what the role allows, as with a token: it is listed\n"
	    "and revoked as one, by that name.",
	.examples = "virtx user certificate alice --role operator --expires 30d\n"
		    "virtx user certificate bob --role operator --only owner=bob\n"
		    "virtx -A HOST --certificate alice.pem --key alice.key list vm\n"
		    "virtx token revoke alice\n",
	.run = user_certificate,
};

static enum command_result
token_list(struct command_call *call, struct error *err)
{
	static const char *const titles[] = { "NAME", "KIND", "ROLE", "CREATED", "BY", "EXPIRES",
		"ONLY" };
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
		writer_cell(w, "%s", token->certificate ? "certificate" : "secret");
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
	.summary = "List the tokens, and the certificates of users",
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
	.summary = "Revoke a token or a certificate: nobody gets in by it any more",
	.help = "At once on the host that answers, on the others within 2 seconds.",
	.examples = "virtx token revoke ci\n",
	.run = token_revoke,
};
