/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx login|logout|context, against a server with TLS. */
#include "verb_fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "certificates.h"
#include "proto/pki.h"
#include "scratch.h"
#include "virtx/context.h"

#define SECRET "virtx_0123456789abcdef"
#define HOSTS  "{\"items\":[]}"
#define JSON   "Content-Type: application/json\r\n"

static char *folder;
static struct authority *ours;
static char fingerprint[PKI_FINGERPRINT_SIZE], shown[PKI_SHOWN_SIZE];
static char *ca;

static char *
read_text(const char *name)
{
	_free_ char *path = scratch_path(folder, name);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buffer text = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(read_all(fd, &text, 1 << 20), 0);
	return buffer_steal(&text, NULL);
}

static int
group_setup(void **state)
{
	struct authority *foreign;
	struct error err = { 0 };

	if (scratch_setup(state) < 0 || !freopen("/dev/null", "r", stdin))
		return -1;
	folder = *state;
	ours = authority_new(folder, "ca");
	foreign = authority_new(folder, "foreign");
	authority_sign(ours, "host", "URI:virtx:host:" HOST_UUID, -1, 365);
	authority_sign(ours, "named", "IP:127.0.0.1", -1, 365);
	authority_sign(ours, "elsewhere", "DNS:elsewhere", -1, 365);
	authority_sign(ours, "expired", "IP:127.0.0.1", -20, -10);
	authority_sign_for(ours, "client", "IP:127.0.0.1", "clientAuth");
	authority_free(foreign);
	scratch_write(folder, "token", SECRET "\n");
	ca = read_text("ca.pem");
	if (pki_fingerprint(ca, fingerprint, &err) < 0)
		return -1;
	pki_fingerprint_show(fingerprint, shown);
	return 0;
}

static int
group_teardown(void **state)
{
	authority_free(ours);
	free(ca);
	return scratch_teardown(state);
}

/* Without any context. */
static int
setup(void **state)
{
	static const char *const variables[] = { "VIRTX_API_SERVER", "VIRTX_CA_FILE",
		"VIRTX_CONTEXT", "VIRTX_TOKEN_FILE" };
	static unsigned int n;
	_free_ char *config = xasprintf("%s/config%u", folder, n++);

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	assert_int_equal(mkdir(config, 0755), 0);
	setenv("XDG_CONFIG_HOME", config, 1);
	return verb_setup(state);
}

/* The server has this certificate, and what is answered to who has no token, and with it. */
static void
serve(struct verb_fixture *f, const char *certificate, const char *authority, int without, int with)
{
	_free_ char *pem = xasprintf("%s/%s.pem", folder, certificate);
	_free_ char *key = xasprintf("%s/%s.key", folder, certificate);
	_free_ char *ca_file = authority ? xasprintf("%s/%s.pem", folder, authority) : NULL;

	verb_use_tls(f, pem, key, ca_file);
	verb_forget(f);
	verb_answer(f, without, JSON, without == 200 ? HOSTS : "");
	verb_answer(f, with, JSON, with == 200 ? HOSTS : "");
}

/* login, with what stands behind it; in the scratch directory, where TOKEN is --token-file. */
static char *
line(const struct verb_fixture *f, const char *words)
{
	return xasprintf("login 127.0.0.1:%u --token-file %s/token %s", f->port, folder, words);
}

static void
logs_in(struct verb_fixture *f, const char *words)
{
	_free_ char *text = line(f, words);

	verb_ok(f, text);
	assert_null(strstr(f->out, SECRET));
	assert_null(strstr(f->said, SECRET));
}

/* It fails, and no request, no token and no context is made of it. */
static void
fails_unsent(
    struct verb_fixture *f, const char *text, enum command_result result, const char *words)
{
	struct context_names names;
	size_t before = f->n_requests;
	struct error err = { 0 };

	verb_fails(f, text, result, words);
	assert_int_equal(f->n_requests, before);
	assert_int_equal(context_list(&names, &err), 0);
	assert_int_equal(names.n, 0);
}

static void
is_kept(const struct verb_fixture *f, const char *name, const char *authority, const char *token)
{
	_free_ char *server = xasprintf("https://127.0.0.1:%u", f->port), *used = NULL;
	_context_ struct context context = { 0 };
	struct error err = { 0 };

	assert_int_equal(context_read(name, &context, &err), 1);
	assert_string_equal(context.server, server);
	assert_string_equal(context.ca, authority);
	assert_string_equal(context.token, token);
	assert_int_equal(context_used(&used, &err), 0);
	assert_string_equal(used, name);
}

static void
test_fingerprint(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *words = xasprintf("--fingerprint %s", shown);
	_free_ char *lower = xasprintf("--context lab --fingerprint %s", fingerprint);

	serve(f, "host", "ca", 401, 200);
	logs_in(f, words);
	assert_int_equal(f->n_requests, 2);
	verb_asked(f, 0, "GET /hosts?limit=1", "");
	assert_null(strstr(f->requests[0].head, "Authorization"));
	verb_asked(f, 1, "GET /hosts?limit=1", "");
	assert_says(f->requests[1].head, "Authorization: Bearer " SECRET "\r\n");
	is_kept(f, "127.0.0.1", ca, SECRET);
	serve(f, "named", "ca", 401, 200);
	logs_in(f, lower);
	is_kept(f, "lab", ca, SECRET);
	/* A new secret takes the place of the old one. */
	serve(f, "host", "ca", 401, 200);
	logs_in(f, lower);
	is_kept(f, "lab", ca, SECRET);
}

/* Neither a CA that is another one, nor one that nobody has said a word about. */
static void
test_not_trusted(void **state)
{
	struct verb_fixture *f = *state;
	char other[PKI_FINGERPRINT_SIZE];
	_free_ char *wrong = NULL, *alone = line(f, ""), *file = NULL, *wrong_file = NULL;

	memcpy(other, fingerprint, sizeof(other));
	other[63] = (char)(other[63] == '0' ? '1' : '0');
	wrong = xasprintf("%s --fingerprint %s", alone, other);
	file = xasprintf("%s --ca-file %s/foreign.pem", alone, folder);
	wrong_file = xasprintf("%s --ca-file %s/ca.pem --fingerprint %s", alone, folder, other);
	serve(f, "host", "ca", 200, 200);
	fails_unsent(f, wrong, COMMAND_FAILED, "its CA is another one: that has the fingerprint");
	assert_says(f->err.detail, shown);
	fails_unsent(f, wrong_file, COMMAND_FAILED, "its CA is another one");
	fails_unsent(f, alone, COMMAND_FAILED, "nobody can be asked whether to trust it");
	assert_says(f->err.detail, shown);
	fails_unsent(f, file, COMMAND_FAILED, "its certificate is refused: ");
	setenv("VIRTX_CA_FILE", "/dev/null", 1);
	fails_unsent(f, alone, COMMAND_FAILED, "cannot use the CA's certificates of '/dev/null'");
}

/* What no trust in its CA would help. */
static void
test_unfit(void **state)
{
	static const struct {
		const char *certificate, *authority, *words;
	} cases[] = {
		{ "expired", "ca", "certificate has expired" },
		{ "elsewhere", "ca", "it is neither for '127.0.0.1' nor for a host" },
		{ "client", "ca", "unsuitable certificate purpose" },
		{ "named", NULL, "it does not send that of its CA" },
		{ "named", "foreign", "it does not send that of its CA" },
	};
	struct verb_fixture *f = *state;
	_free_ char *words = xasprintf("--fingerprint %s", fingerprint);
	_free_ char *told = line(f, words), *asked = line(f, "");
	_free_ char *localhost = xasprintf("login localhost:%u", f->port);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		serve(f, cases[i].certificate, cases[i].authority, 200, 200);
		fails_unsent(f, told, COMMAND_FAILED, cases[i].words);
		fails_unsent(f, asked, COMMAND_FAILED, cases[i].words);
	}
	/* One that has shown itself is not looked for at its other addresses. */
	fails_unsent(f, localhost, COMMAND_FAILED, "cannot connect to 127.0.0.1 port");
	assert_null(strstr(f->err.detail, "::1"));
}

/* A CA that is known already is no question. */
static void
test_known(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *words = xasprintf("--ca-file %s/ca.pem", folder);
	_free_ char *both = xasprintf("%s --fingerprint %s", words, fingerprint);
	_free_ char *text = line(f, both), *file = scratch_path(folder, "ca.pem");

	serve(f, "named", NULL, 401, 200);
	logs_in(f, words);
	is_kept(f, "127.0.0.1", ca, SECRET);
	serve(f, "host", "ca", 401, 200);
	logs_in(f, both);
	setenv("VIRTX_CA_FILE", file, 1);
	serve(f, "named", NULL, 401, 200);
	logs_in(f, "--context env");
	is_kept(f, "env", ca, SECRET);
	serve(f, "named", NULL, 401, 200);
	verb_fails(f, text, COMMAND_FAILED, "it does not send the certificate of its CA");
}

/* Who answers for a server that was logged in to may not become another one without a word. */
static void
test_another_ca(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *alone = line(f, ""), *file = scratch_path(folder, "ca.pem");
	_free_ char *words = xasprintf("--fingerprint %s", fingerprint);
	_free_ char *server = xasprintf("https://127.0.0.1:%u", f->port);
	_free_ char *foreign = read_text("foreign.pem");
	struct context context = { server, ca, (char *)SECRET };
	char found[PKI_FINGERPRINT_SIZE], was[PKI_SHOWN_SIZE];
	struct error err = { 0 };
	size_t before = f->n_requests;

	/* The same is no question, even where it is not sent. */
	assert_int_equal(context_write("127.0.0.1", &context, &err), 0);
	serve(f, "named", NULL, 401, 200);
	logs_in(f, "");
	is_kept(f, "127.0.0.1", ca, SECRET);

	context.ca = foreign;
	assert_int_equal(context_write("127.0.0.1", &context, &err), 0);
	assert_int_equal(pki_fingerprint(foreign, found, &err), 0);
	pki_fingerprint_show(found, was);
	setenv("VIRTX_CA_FILE", file, 1);
	serve(f, "host", "ca", 401, 200);
	before = f->n_requests;
	verb_fails(f, alone, COMMAND_FAILED, "until now it was one with ");
	assert_says(f->err.detail, was);
	assert_says(f->err.detail, shown);
	context.ca = (char *)"";
	assert_int_equal(context_write("127.0.0.1", &context, &err), 0);
	verb_fails(f, alone, COMMAND_FAILED, "until now it was one that the system trusts");
	assert_int_equal(f->n_requests, before);
	is_kept(f, "127.0.0.1", "", SECRET);

	logs_in(f, words);
	is_kept(f, "127.0.0.1", ca, SECRET);
}

static void
test_token(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *words = xasprintf("--fingerprint %s", shown), *text = line(f, words);
	_free_ char *none =
	    xasprintf("login https://127.0.0.1:%u --fingerprint %s", f->port, shown);
	_free_ char *file = scratch_path(folder, "token");
	struct error err = { 0 };
	size_t before;

	/* One that is wrong is not kept. */
	serve(f, "host", "ca", 401, 401);
	verb_fails(f, text, COMMAND_FAILED, "cannot log in to 'https://127.0.0.1:");
	assert_says(f->err.detail, "401: Unauthorized");
	assert_int_equal(context_remove("127.0.0.1", &err), -1);
	/* Nor asked for, where the server is out of order. */
	serve(f, "host", "ca", 500, 200);
	before = f->n_requests;
	verb_fails(f, text, COMMAND_FAILED, "500: ");
	assert_int_equal(f->n_requests, before + 1);
	serve(f, "host", "ca", 401, 200);
	verb_fails(f, none, COMMAND_FAILED, "the token: '-' has to hold its secret");
	serve(f, "host", "ca", 401, 200);
	/* What the environment has may be for another server. */
	setenv("VIRTX_TOKEN_FILE", file, 1);
	verb_fails(f, none, COMMAND_FAILED, "the token: '-' has to hold its secret");
	/* Who lets everybody in gets none. */
	serve(f, "host", "ca", 200, 200);
	verb_ok(f, none);
	assert_says(f->said, "lets everybody in: no token is sent or kept");
	is_kept(f, "127.0.0.1", ca, "");
}

static void
test_bad_lines(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "login", "SERVER is missing" },
		{ "login http://h1", "is asked by https://" },
		{ "login unix:/run/x.sock", "is asked by https://" },
		{ "login ftp://h1", "server 'ftp://h1'" },
		{ "login h1 -A h2", "--api-server is not for this" },
		{ "login h1 --certificate a.pem", "--certificate and --key are not for this" },
		{ "login h1 --key a.key", "--certificate and --key are not for this" },
		{ "login h1 --fingerprint 12", "is no SHA-256" },
		{ "login h1 --context a/b", "is no name for a context" },
		{ "login h1 --context default", "is no name for a context" },
		{ "login fd00::1", "--context gives it one" },
		{ "logout a b", "one argument too many" },
		{ "context use", "NAME is missing" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fails_unsent(f, cases[i].line, COMMAND_USAGE, cases[i].words);
}

/* Contexts of a test that asks no server. */
static void
keep(const char *name, const char *server, const char *token)
{
	const struct context context = { (char *)server, ca, (char *)token };
	struct error err = { 0 };

	assert_int_equal(context_write(name, &context, &err), 0);
}

static void
test_another_server(void **state)
{
	struct verb_fixture *f = *state;

	keep("lab", "https://h1:81", SECRET);
	verb_fails(f, "login h2 --context lab", COMMAND_USAGE,
	    "context 'lab' is of 'https://h1:81': --context gives 'https://h2' another name");
}

static void
test_contexts(void **state)
{
	struct verb_fixture *f = *state;

	verb_ok(f, "context list");
	assert_string_equal(f->out, "NAME     SERVER     TOKEN  USED\n"
				    "default  this host  -      yes\n");
	keep("lab", "https://h1:81", SECRET);
	keep("open", "https://h2", "");
	verb_ok(f, "context use lab");
	verb_ok(f, "context list");
	assert_string_equal(f->out, "NAME     SERVER         TOKEN  USED\n"
				    "default  this host      -      -\n"
				    "lab      https://h1:81  kept   yes\n"
				    "open     https://h2     -      -\n");
	verb_ok(f, "context show");
	assert_says(f->out, "https://h1:81\n");
	assert_says(f->out, shown);
	assert_null(strstr(f->out, SECRET));
	verb_ok(f, "context show open -o json");
	assert_says(f->out, "\"name\": \"open\"");
	assert_says(f->out, "\"used\": false");
	verb_ok(f, "context list -o json");
	assert_null(strstr(f->out, SECRET));
	verb_fails(f, "context show nosuch", COMMAND_FAILED, "there is no context 'nosuch'");
	verb_fails(f, "context use nosuch", COMMAND_FAILED, "there is no context 'nosuch'");
	verb_fails(f, "context show -A h1", COMMAND_FAILED, "no context is used here");
	/* What is used goes by what comes first. */
	verb_ok(f, "context show --context open");
	assert_says(f->out, "https://h2\n");
	setenv("VIRTX_CONTEXT", "open", 1);
	verb_ok(f, "context use lab");
	assert_string_equal(f->said, "virtx: warning: VIRTX_CONTEXT is set, and comes first\n");
	verb_ok(f, "context use open");
	assert_string_equal(f->said, "");
	setenv("VIRTX_API_SERVER", "h3", 1);
	verb_ok(f, "context use open");
	assert_string_equal(f->said, "virtx: warning: VIRTX_API_SERVER is set, and comes first\n");
	assert_int_equal(f->n_requests, 0);
}

static void
test_logout(void **state)
{
	struct verb_fixture *f = *state;
	struct context context = { 0 };
	struct error err = { 0 };

	verb_fails(f, "logout", COMMAND_FAILED, "no context is used here");
	keep("lab", "https://h1:81", SECRET);
	keep("site", "https://h2", SECRET);
	verb_fails(f, "logout", COMMAND_FAILED, "no context is used here");
	verb_fails(f, "logout default", COMMAND_FAILED, "no context is used here");
	verb_fails(f, "logout nosuch", COMMAND_FAILED, "there is no context 'nosuch'");
	verb_ok(f, "context use lab");
	verb_ok(f, "logout site");
	assert_string_equal(f->out, "Context 'site' and its token are forgotten.\n");
	assert_int_equal(context_read("site", &context, &err), 0);
	verb_ok(f, "logout");
	assert_int_equal(context_read("lab", &context, &err), 0);
	verb_fails(f, "logout", COMMAND_FAILED, "no context is used here");
	assert_int_equal(f->n_requests, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, verb_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_fingerprint),
		CASE(test_not_trusted),
		CASE(test_unfit),
		CASE(test_known),
		CASE(test_another_ca),
		CASE(test_token),
		CASE(test_bad_lines),
		CASE(test_another_server),
		CASE(test_contexts),
		CASE(test_logout),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
