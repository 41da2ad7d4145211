/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/choice.h"

#include <stdio.h>
#include <string.h>

#include "virtx/context.h"
#include "virtx/secret_file.h"

struct choice
choice_of(const struct command_call *call)
{
	return (struct choice){
		.server = call->values['A'],
		.context = call->values[COMMAND_OPTION_CONTEXT],
		.ca_file = call->values[COMMAND_OPTION_CA],
		.token_file = call->values[COMMAND_OPTION_TOKEN],
		.certificate = call->values[COMMAND_OPTION_CERTIFICATE],
		.key = call->values[COMMAND_OPTION_KEY],
	};
}

const char *
choice_or_environment(const char *option, const char *variable)
{
	const char *value = option ? option : getenv(variable);

	return str_empty(value) ? NULL : value;
}

int
choice_context(const struct choice *options, char **ret, struct error *err)
{
	const char *said = options->context;

	*ret = NULL;
	if (said && options->server)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--api-server and --context both name a server: one of them is enough");
	if (!said && choice_or_environment(options->server, "VIRTX_API_SERVER"))
		return 0;
	if (!said)
		said = choice_or_environment(NULL, "VIRTX_CONTEXT");
	if (said)
		*ret = xstrdup(said);
	else if (context_used(ret, err) < 0)
		return -1;
	if (!*ret)
		*ret = xstrdup(CONTEXT_NONE);
	return 0;
}

void
choice_warn(const char *name)
{
	static const char *const variables[] = { "VIRTX_API_SERVER", "VIRTX_CONTEXT" };

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		const char *value = choice_or_environment(NULL, variables[i]);

		if (value && (i == 0 || strcmp(value, name) != 0)) {
			fprintf(
			    stderr, "virtx: warning: %s is set, and comes first\n", variables[i]);
			return;
		}
	}
}

/* With nothing in it where there is none to take. */
static int
read_chosen(const struct choice *options, struct context *ret, struct error *err)
{
	_free_ char *name = NULL;
	int rc;

	if (choice_context(options, &name, err) < 0)
		return -1;
	if (!name || strcmp(name, CONTEXT_NONE) == 0)
		return 0;
	rc = context_read(name, ret, err);
	return rc == 0 ? error_set(err, CLIENT_ERROR_STATUS,
			     "there is no context '%s': 'virtx context list' shows which there "
			     "are, 'virtx login' makes one",
			     name)
		       : rc;
}

static int
set_server(const char *text, struct server *server, struct error *err)
{
	return text ? server_parse(text, server, err) : server_here(server, err);
}

/* The secret of a token, where there is one that the server is to have. */
static int
set_token(
    const struct choice *said, struct context *context, struct client *client, struct error *err)
{
	const char *file = said->token_file;
	bool sent;

	if (file && secret_file_read(file, &client->token, err) < 0)
		return -1;
	/* A server that gets both takes the token's user. */
	if (!file && !said->certificate && !str_empty(context->token))
		client->token = steal_ptr(context->token);
	if (!client->token)
		return 0;
	if (server_take_secret(&client->server, &sent, err) < 0)
		return -1;
	if (!sent)
		secret_file_free(steal_ptr(client->token));
	return 0;
}

/* A user's certificate, where there is one that the server is to see. */
static int
set_certificate(const struct choice *said, struct server *server, struct error *err)
{
	if (server_set_certificate(server, said->certificate, said->key, err) < 0)
		return -1;
	return server->key ? secret_file_check("the key", server->key, err) : 0;
}

int
choice_make(const struct choice *options, struct client *client, struct error *err)
{
	_context_ struct context context = { 0 };
	struct choice said = *options;

	if (read_chosen(options, &context, err) < 0)
		return -1;
	/* What the environment names is not for the server that a context has. */
	if (!options->context && !context.server)
		said = (struct choice){
			.server = choice_or_environment(options->server, "VIRTX_API_SERVER"),
			.ca_file = choice_or_environment(options->ca_file, "VIRTX_CA_FILE"),
			.token_file =
			    choice_or_environment(options->token_file, "VIRTX_TOKEN_FILE"),
			.certificate =
			    choice_or_environment(options->certificate, "VIRTX_CERTIFICATE_FILE"),
			.key = choice_or_environment(options->key, "VIRTX_KEY_FILE"),
		};
	if (set_server(context.server ? context.server : said.server, &client->server, err) < 0 ||
	    set_certificate(&said, &client->server, err) < 0 ||
	    set_token(&said, &context, client, err) < 0)
		return -1;
	if (said.ca_file || !context.server)
		server_set_ca(&client->server, said.ca_file);
	else if (!str_empty(context.ca))
		client->server.ca_text = steal_ptr(context.ca);
	return 0;
}
