/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx login|logout. */
#include <stdio.h>
#include <string.h>

#include "proto/certificate.h"
#include "proto/model.h"
#include "proto/pki.h"
#include "virtx/choice.h"
#include "virtx/context.h"
#include "virtx/secret_file.h"
#include "virtx/terminal.h"
#include "virtx/verbs.h"

#define OPTION_FINGERPRINT 20

static const struct option_row login_options[] = {
	{ OPTION_FINGERPRINT, "fingerprint", ARG_TEXT("SHA256"),
	    "trust the CA that has this fingerprint, and do not ask" },
	{ 0 },
};

/* What is known of the server that somebody logs in to. */
struct login {
	struct client client; /* with the server alone */
	struct context context;
	const char *name;			/* of the context */
	char fingerprint[PKI_FINGERPRINT_SIZE]; /* that its CA has to have, "" for any */
	const char *ca_file;			/* with the CA, NULL where that is not said */
	char *kept; /* the CA that the context has so far: PEM, "" for those of the system; NULL
		       where there is none, or where another one is said */
	const char *token_file; /* NULL where that is not said */
};

/* The server, and the name that it is kept by */

static int
take_server(struct login *login, const char *text, struct error *err)
{
	struct server *server = &login->client.server;

	if (server_parse(text, server, err) < 0)
		return -1;
	if (server->said == SERVER_SCHEME && !server->tls)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "server '%s': a token is for a server that is asked by https://", text);
	login->context.server =
	    xasprintf("%s%s", server->said == SERVER_SCHEME ? "" : "https://", text);
	server->tls = true;
	return 0;
}

/* One server's secret does not take the place of another's. */
static int
take_name(struct login *login, const char *given, struct error *err)
{
	_context_ struct context before = { 0 };
	int rc;

	login->name = given ? given : login->client.server.host;
	if (context_check_name(login->name, err) < 0) {
		error_append(err, "--context gives it one");
		return -1;
	}
	rc = context_read(login->name, &before, err);
	if (rc > 0 && !str_equal(before.server, login->context.server))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "context '%s' is of '%s': --context gives '%s' another name", login->name,
		    before.server, login->context.server);
	if (rc > 0)
		login->kept = before.ca ? steal_ptr(before.ca) : xstrdup("");
	return rc < 0 ? -1 : 0;
}

/* A CA that is trusted already is not asked for again, and none takes its place without a word. */
static void
take_ca(struct login *login, const char *given)
{
	struct server *server = &login->client.server;

	if (given || *login->fingerprint)
		free(steal_ptr(login->kept));
	if (!login->kept) {
		login->ca_file = choice_or_environment(given, "VIRTX_CA_FILE");
		server_set_ca(server, login->ca_file);
	} else if (*login->kept) {
		str_set(&server->ca_text, login->kept);
	}
}

static int
take_options(struct login *login, const struct command_call *call, struct error *err)
{
	const struct choice options = choice_of(call);
	const char *fingerprint = call->values[OPTION_FINGERPRINT];

	if (options.server)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--api-server is not for this: the server is an argument");
	if (options.certificate || options.key)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--certificate and --key are not for this: what is kept is a token");
	if (fingerprint && !pki_fingerprint_parse(fingerprint, login->fingerprint))
		return error_set(err, CLIENT_ERROR_STATUS,
		    "--fingerprint: '%.100s' is no SHA-256: that has 64 hexadecimal digits",
		    fingerprint);
	login->token_file = options.token_file;
	if (take_server(login, call->operands[0], err) < 0 ||
	    take_name(login, options.context, err) < 0)
		return -1;
	take_ca(login, options.ca_file);
	return 0;
}

/* Who answers for its certificate */

/* Whether the CA that the server shows is to be trusted: 0, or -1 with the reason why not. */
static int
ask_trust(const struct login *login, const char *ca, struct error *err)
{
	char found[PKI_FINGERPRINT_SIZE], shown[PKI_SHOWN_SIZE];
	_free_ char *question = NULL;

	if (pki_fingerprint(ca, found, err) < 0)
		return -1;
	pki_fingerprint_show(found, shown);
	if (*login->fingerprint && strcmp(found, login->fingerprint) == 0)
		return 0;
	if (*login->fingerprint)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "its CA is another one: that has the fingerprint %s", shown);
	if (!terminal_is_there())
		return error_set(err, CLIENT_ERROR_STATUS,
		    "its CA is not known, and nobody can be asked whether to trust it: where %s is "
		    "the right one, --fingerprint says so",
		    shown);
	question = xasprintf("The CA of '%s' is not known here. It has the SHA-256 fingerprint\n"
			     "    %s\n"
			     "which has to be what a host of the cluster shows by\n"
			     "    openssl x509 -noout -fingerprint -sha256 -in " CERTIFICATE_CA "\n"
			     "Trust it?",
	    login->context.server, shown);
	if (terminal_ask(question))
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS, "its CA is not trusted: nothing was sent");
}

/* It may be somebody who answers in the server's place. */
static int
refuse_other(const struct login *login, const char *ca, struct error *err)
{
	char found[PKI_FINGERPRINT_SIZE], shown[PKI_SHOWN_SIZE], was[PKI_SHOWN_SIZE];

	if (*login->kept && pki_fingerprint(login->kept, found, err) < 0)
		return -1;
	if (*login->kept)
		pki_fingerprint_show(found, was);
	if (pki_fingerprint(ca, found, err) < 0)
		return -1;
	pki_fingerprint_show(found, shown);
	return error_set(err, CLIENT_ERROR_STATUS,
	    "its CA has the fingerprint %s, and until now it was %s%s: nothing was sent; where the "
	    "cluster has a new CA, --fingerprint says so",
	    shown, *login->kept ? "one with " : "one that the system trusts",
	    *login->kept ? was : "");
}

/* One that is known already. */
static int
keep_ca(struct login *login, struct error *err)
{
	const char *file = login->client.server.ca;
	size_t len;

	if (login->kept)
		login->context.ca = xstrdup(login->kept);
	if (login->kept || !file)
		return 0;
	login->context.ca = command_read(file, CONTEXT_CA_MAX, &len, err);
	return login->context.ca ? 0 : -1;
}

/* Looks at the server's certificate, before anything is sent. */
static int
find_ca(struct login *login, struct error *err)
{
	struct server_shown shown = { 0 };
	struct client client = login->client;
	_answer_ struct answer answer = { 0 };
	bool known;
	int rc;

	client.server.shown = &shown;
	client.debug = false;
	(void)client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, err);
	known = shown.as == SHOWN_KNOWN;
	if (!known && (shown.as != SHOWN_CA || login->ca_file))
		rc = -1;
	else if (known && !*login->fingerprint)
		rc = keep_ca(login, err);
	else if (login->kept)
		rc = refuse_other(login, shown.ca, err);
	else if (!shown.ca)
		rc = error_set(err, CLIENT_ERROR_STATUS,
		    "it does not send the certificate of its CA: there is no fingerprint");
	else if ((rc = ask_trust(login, shown.ca, err)) == 0)
		login->context.ca = steal_ptr(shown.ca);
	free(shown.ca);
	if (rc == 0 && !str_empty(login->context.ca))
		str_set(&login->client.server.ca_text, login->context.ca);
	return rc;
}

/* Who asks */

/* What everybody may ask who is known, as short as it gets: 0, 1 where it is not known who asks, or
 * -1. */
static int
ask_server(struct login *login, struct error *err)
{
	struct host_list_options options = { 0 };
	struct host_list list = { 0 };
	int rc;

	login->client.query = "limit=1";
	rc = client_get(&login->client, ROUTE_HOST_LIST, NULL, &options, &list, err);
	model_clear(&host_list_model, &list);
	return rc < 0 && error_is(err, ERROR_WHO) ? 1 : rc;
}

static int
read_token(struct login *login, struct error *err)
{
	char *typed;

	if (login->token_file || !terminal_is_there())
		return secret_file_read(
		    login->token_file ? login->token_file : "-", &login->client.token, err);
	typed = terminal_secret("Token: ", err);
	if (!typed)
		return -1;
	return secret_take(typed, strlen(typed), "the terminal", &login->client.token, err);
}

/* Finds the token, and whether the server takes it. One that wants none is sent none. */
static int
find_token(struct login *login, struct error *err)
{
	int rc = ask_server(login, err);

	if (rc == 0)
		fprintf(stderr,
		    "virtx: warning: '%s' lets everybody in: no token is sent or kept\n",
		    login->context.server);
	if (rc <= 0)
		return rc;
	if (read_token(login, err) < 0 || ask_server(login, err) != 0)
		return -1;
	login->context.token = steal_ptr(login->client.token);
	return 0;
}

static void
login_clear(struct login *login)
{
	context_clear(&login->context);
	free(login->kept);
	server_clear(&login->client.server);
	secret_file_free(login->client.token);
}

static enum command_result
login(struct command_call *call, struct error *err)
{
	struct login login = { .client = *call->client };
	enum command_result result = COMMAND_OK;

	/* The command has a server of its own. */
	login.client.server = (struct server){ 0 };
	login.client.token = NULL;
	if (take_options(&login, call, err) < 0) {
		result = COMMAND_USAGE;
	} else if (find_ca(&login, err) < 0 || find_token(&login, err) < 0) {
		error_wrap(err, "cannot log in to '%s'", login.context.server);
		result = COMMAND_FAILED;
	} else if (context_write(login.name, &login.context, err) < 0 ||
		   context_use(login.name, err) < 0) {
		result = COMMAND_FAILED;
	} else {
		fprintf(call->writer->out, "Logged in to '%s': context '%s' is used from now on.\n",
		    login.context.server, login.name);
		choice_warn(login.name);
	}
	login_clear(&login);
	return result;
}

const struct command login_command = {
	.words = "login",
	.operands = { ARG_TEXT("SERVER") },
	.options = login_options,
	.summary = "Keep a server and a token for it, for the commands that follow",
	.help =
	    "SERVER is HOST[:PORT] or https://HOST[:PORT]. The fingerprint of its CA is shown, "
	    "and\n"
	    "whether to trust it is asked, before anything is sent; for a server that is logged "
	    "in to\n"
	    "already it has to be the CA of then. The token's secret is asked at\n"
	    "the terminal; without one it is read from --token-file or standard input. Both are\n"
	    "kept as a context, by the name of the host, or that of --context.",
	.examples = "virtx login https://192.0.2.1:8080\n"
		    "virtx login 192.0.2.1 --context lab --token-file ci.token\n",
	.run = login,
	.local = true,
};

static enum command_result
logout(struct command_call *call, struct error *err)
{
	const struct choice options = choice_of(call);
	_free_ char *name = NULL;

	if (call->operands[0])
		name = xstrdup(call->operands[0]);
	else if (choice_context(&options, &name, err) < 0)
		return COMMAND_USAGE;
	if (!name || strcmp(name, CONTEXT_NONE) == 0) {
		error_set(err, CLIENT_ERROR_STATUS,
		    "no context is used here: NAME says which one to forget");
		return COMMAND_FAILED;
	}
	if (context_remove(name, err) < 0)
		return COMMAND_FAILED;
	fprintf(call->writer->out, "Context '%s' and its token are forgotten.\n", name);
	return COMMAND_OK;
}

const struct command logout_command = {
	.words = "logout",
	.operands = { ARG_CONTEXT_USED },
	.summary = "Forget a context, and its token",
	.help = "Without NAME the one that commands take here. For others the token is as good as\n"
		"before, until 'virtx token revoke'.",
	.examples = "virtx logout\n"
		    "virtx logout lab\n",
	.run = logout,
	.local = true,
};
