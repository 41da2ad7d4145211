/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes before what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/certificate.h"
#include "scratch.h"
#include "virtx/choice.h"
#include "virtx/context.h"

/* What is said, and what comes of it. Files of tokens and CAs are those of the scratch directory.
 */
struct choice_case {
	struct choice options;
	const char *server, *context, *ca_file, *token_file, *cert, *key; /* of the environment */
	const char *used;	  /* the context that is used */
	const char *host, *token; /* token NULL for none */
	const char *ca; /* the file, NULL where it is not that of an option or the environment */
	const char *ca_text;	       /* of a context, NULL for none */
	const char *shows, *shows_key; /* a user's certificate, NULL for none */
};

static void
keep(const char *name, const char *ca)
{
	_free_ char *server = xasprintf("https://%s:81", name);
	_free_ char *token = xasprintf("%s-secret", name);
	const struct context context = { server, (char *)ca, token };
	struct error err = { 0 };

	if (context_write(name, &context, &err) < 0)
		fail_msg("%s", err.detail);
}

static int
setup(void **state)
{
	if (scratch_setup(state) < 0 || chdir(*state) < 0)
		return -1;
	setenv("XDG_CONFIG_HOME", *state, 1);
	keep("lab", "LAB");
	keep("site", "");
	scratch_write(*state, "mine", "mine-secret\n");
	scratch_write(*state, "env", "env-secret\n");
	scratch_write(*state, "my.key", "KEY");
	scratch_write(*state, "open.key", "KEY");
	return chmod("open.key", 0640);
}

static void
set(const char *variable, const char *value)
{
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
}

static void
say(const struct choice_case *c)
{
	struct error err = { 0 };

	set("VIRTX_API_SERVER", c->server);
	set("VIRTX_CONTEXT", c->context);
	set("VIRTX_CA_FILE", c->ca_file);
	set("VIRTX_TOKEN_FILE", c->token_file);
	set("VIRTX_CERTIFICATE_FILE", c->cert);
	set("VIRTX_KEY_FILE", c->key);
	assert_int_equal(context_use(c->used ? c->used : CONTEXT_NONE, &err), 0);
}

static bool
same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void
check(const struct choice_case *c, size_t i)
{
	struct client client = { 0 };
	struct error err = { 0 };
	const struct server *server = &client.server;
	bool own;

	say(c);
	if (choice_make(&c->options, &client, &err) < 0)
		fail_msg("case %zu: %s", i, err.detail);
	own = same(server->ca, CERTIFICATE_CA);
	if (!same(server->host, c->host) || !same(client.token, c->token) ||
	    !same(own ? NULL : server->ca, c->ca) || !same(server->ca_text, c->ca_text))
		fail_msg("case %zu: '%s' '%s' '%s' '%s'", i, server->host, client.token, server->ca,
		    server->ca_text);
	if (!same(server->certificate, c->shows) || !same(server->key, c->shows_key))
		fail_msg("case %zu: shows '%s' '%s'", i, server->certificate, server->key);
	/* What the system trusts is not overridden by what this host has. */
	if (own && c->used && !c->server && !c->options.server)
		fail_msg("case %zu: its CA is that of this host", i);
	free(client.token);
	server_clear(&client.server);
}

static void
test_order(void **state)
{
	static const struct choice_case cases[] = {
		/* Without any, as ever. */
		{ .host = "localhost" },
		{ .options = { .server = "h1" }, .host = "h1" },
		{ .server = "h1", .host = "h1" },
		{ .server = "",
		    .context = "",
		    .ca_file = "",
		    .token_file = "",
		    .host = "localhost" },
		{ .options = { .server = "h1", .ca_file = "mine", .token_file = "mine" },
		    .host = "h1",
		    .ca = "mine",
		    .token = "mine-secret" },
		{ .server = "h1",
		    .ca_file = "env",
		    .token_file = "env",
		    .host = "h1",
		    .ca = "env",
		    .token = "env-secret" },
		{ .options = { .server = "h2", .ca_file = "mine", .token_file = "mine" },
		    .server = "h1",
		    .ca_file = "env",
		    .token_file = "env",
		    .host = "h2",
		    .ca = "mine",
		    .token = "mine-secret" },
		/* With it goes all that it has. */
		{ .used = "lab", .host = "lab", .token = "lab-secret", .ca_text = "LAB" },
		{ .used = "site", .host = "site", .token = "site-secret" },
		{ .used = "site",
		    .context = "lab",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
		{ .options = { .context = "lab" },
		    .used = "site",
		    .context = "site",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
		{ .context = CONTEXT_NONE, .used = "lab", .host = "localhost" },
		{ .options = { .context = CONTEXT_NONE }, .used = "lab", .host = "localhost" },
		/* Another server gets nothing of it. */
		{ .options = { .server = "h1" }, .used = "lab", .host = "h1" },
		{ .server = "h1", .used = "lab", .host = "h1" },
		{ .server = "h1", .context = "lab", .host = "h1" },
		/* What is said of one part is said of that alone. */
		{ .options = { .token_file = "mine" },
		    .used = "lab",
		    .host = "lab",
		    .token = "mine-secret",
		    .ca_text = "LAB" },
		/* What the environment names is for another server. */
		{ .ca_file = "env",
		    .token_file = "env",
		    .used = "lab",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
		{ .ca_file = "env",
		    .token_file = "env",
		    .context = "site",
		    .host = "site",
		    .token = "site-secret" },
		{ .options = { .ca_file = "mine", .token_file = "mine", .context = "lab" },
		    .host = "lab",
		    .token = "mine-secret",
		    .ca = "mine" },
		/* One that is named as an option comes before all of the environment. */
		{ .options = { .context = "lab" },
		    .server = "h1",
		    .ca_file = "env",
		    .token_file = "env",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
		{ .options = { .context = CONTEXT_NONE },
		    .server = "h1",
		    .token_file = "env",
		    .host = "localhost" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(&cases[i], i);
}

/* It is said as a token is, and by no context: that is asked as whom it says. */
static void
test_certificate(void **state)
{
	static const struct choice_case cases[] = {
		{ .options = { .server = "h1", .certificate = "my.pem", .key = "my.key" },
		    .host = "h1",
		    .shows = "my.pem",
		    .shows_key = "my.key" },
		{ .server = "h1",
		    .cert = "env.pem",
		    .key = "my.key",
		    .host = "h1",
		    .shows = "env.pem",
		    .shows_key = "my.key" },
		{ .options = { .server = "h1", .certificate = "my.pem" },
		    .cert = "env.pem",
		    .key = "my.key",
		    .host = "h1",
		    .shows = "my.pem",
		    .shows_key = "my.key" },
		{ .options = { .server = "h1", .certificate = "my.key" },
		    .host = "h1",
		    .shows = "my.key",
		    .shows_key = "my.key" },
		{ .server = "h1", .cert = "", .key = "", .host = "h1" },
		{ .cert = "env.pem",
		    .used = "lab",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
		{ .options = { .context = "lab", .certificate = "my.pem", .key = "my.key" },
		    .host = "lab",
		    .ca_text = "LAB",
		    .shows = "my.pem",
		    .shows_key = "my.key" },
		{ .options = { .context = "lab", .certificate = "my.pem", .token_file = "mine" },
		    .host = "lab",
		    .token = "mine-secret",
		    .ca_text = "LAB",
		    .shows = "my.pem",
		    .shows_key = "my.pem" },
		/* One that is named as an option comes before all of the environment. */
		{ .options = { .context = "lab" },
		    .cert = "env.pem",
		    .key = "open.key",
		    .host = "lab",
		    .token = "lab-secret",
		    .ca_text = "LAB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(&cases[i], i);
}

static void
fails(const struct choice_case *c, const char *words)
{
	struct client client = { 0 };
	struct error err = { 0 };

	say(c);
	assert_int_equal(choice_make(&c->options, &client, &err), -1);
	if (!strstr(err.detail, words))
		fail_msg("'%s' has no '%s'", err.detail, words);
	assert_null(client.token);
	server_clear(&client.server);
}

static void
test_wrong(void **state)
{
	const struct choice_case both = { .options = { .server = "h1", .context = "lab" } };
	const struct choice_case none = { .options = { .context = "nosuch" } };
	const struct choice_case lost = { .context = "nosuch" };
	const struct choice_case name = { .context = "../lab" };
	const struct choice_case server = { .server = "ftp://h1" };
	const struct choice_case file = { .server = "h1", .token_file = "nosuch" };
	const struct choice_case key = { .server = "h1", .key = "my.key" };
	const struct choice_case open = { .server = "h1", .cert = "my.pem", .key = "open.key" };
	const struct choice_case plain = { .server = "http://h1", .cert = "my.pem" };

	fails(&both, "--api-server and --context both name a server");
	fails(&none, "there is no context 'nosuch'");
	fails(&lost, "there is no context 'nosuch'");
	fails(&name, "is no name for a context");
	fails(&server, "server 'ftp://h1'");
	fails(&file, "cannot open 'nosuch'");
	fails(&key, "no certificate that it is of");
	fails(&open, "the key: 'open.key' is open to others");
	fails(&plain, "no certificate can be shown to 'h1'");
}

/* A context that cannot be read is nothing to whom it does not concern. */
static void
test_damaged(void **state)
{
	const struct choice_case used = { .used = "lab" };
	const struct choice_case option = { .options = { .server = "h1" }, .host = "h1" };
	struct client client = { 0 };
	struct error err = { 0 };

	say(&used);
	scratch_write(*state, "virtx/lab.json", "{");
	assert_int_equal(choice_make(&used.options, &client, &err), -1);
	assert_non_null(strstr(err.detail, "context 'lab'"));
	assert_int_equal(choice_make(&option.options, &client, &err), 0);
	assert_string_equal(client.server.host, "h1");
	server_clear(&client.server);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_certificate),
		TEST(test_wrong),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
