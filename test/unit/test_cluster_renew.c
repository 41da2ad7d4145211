/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts that renew their certificates. */
#include "ops_host.h"

#include <sys/mman.h>
#include <unistd.h>

#include "api/handlers.h"
#include "daemon/core.h"
#include "ops/renewal.h"
#include "ops/token_keeper.h"
#include "proto/cluster.h"
#include "proto/json.h"
#include "state/caller.h"

#define ADDRESS "192.0.2.2"
#define NAMES	"h2," ADDRESS

static struct caller caller;
static int64_t shown_begin;
static const char *junk[4] = { "", "", "", "" }; /* before and behind each request */

static void
on_changed(void *arg)
{
}

static int
setup(void **state)
{
	ops_setup(state);
	ops_start();
	str_set(&here.config.tls_ca_key, "/etc/virtx/ca.key");
	return 0;
}

/* One of these names, as the host that has shown a certificate; NULL for root of this host, or of
 * another one that states it. */
static void
ask_from(const char *client, const char *host, const char *shown, const char *const names[2],
    const char *const qemu[2])
{
	struct cluster_renewal renewal = { 0 };
	struct error err = { 0 };
	struct request *req;
	char *body, *key = pki_key_new();
	size_t len;

	caller =
	    (struct caller){ .by = host ? CALLER_CERTIFICATE : CALLER_SOCKET, .role = ROLE_HOST };
	for (int i = 0; i < 2; i++) {
		_free_ char *one = pki_request_new(key, i ? qemu : names, 2, &err);

		*(i ? &renewal.qemu_request : &renewal.request) =
		    xasprintf("%s%s%s", junk[2 * i], one, junk[2 * i + 1]);
	}
	body = json_encode(&cluster_renewal_model, &renewal, &len);
	req = ops_request(ROUTE_CLUSTER_RENEW, "", body);
	req->caller = &caller;
	req->client = client;
	req->shown = str_or_empty(host);
	req->shown_names = shown;
	req->shown_begin = shown_begin;
	api_cluster_renew(&here.ctx, req);
	model_clear(&cluster_renewal_model, &renewal);
	pki_wipe(key);
	free(body);
}

static void
ask(const char *host, const char *shown, const char *const names[2], const char *const qemu[2])
{
	ask_from(host ? "192.0.2.9" : CALLER_UNIX, host, shown, names, qemu);
}

static const char *
signed_for(void)
{
	static char uuid[UUID_TEXT_SIZE];
	const struct cluster_sign_request *request = ops_request_of(WORK_CLUSTER_SIGN);

	snprintf(uuid, sizeof(uuid), "%s", request->uuid);
	ops_fail_job(WORK_CLUSTER_SIGN, 500, "never mind");
	return uuid;
}

/* Whoever has taken over one host gets no certificate by which to pass for another. */
static void
test_names(void **state)
{
	static const char *const own[] = { "H2", ADDRESS }, *const less[] = { "h2", "h2" };
	static const char *const bad[][2] = { { "h2", "localhost" }, { "h3", ADDRESS },
		{ "h2", "192.0.2.3" }, { "h2", "2001:db8::2" } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (int qemu = 0; qemu < 2; qemu++) {
			ask(H2, NAMES, qemu ? own : bad[i], qemu ? bad[i] : own);
			assert_null(ops_find_job(WORK_CLUSTER_SIGN));
			assert_int_equal(here.status, 403);
			assert_non_null(strstr(here.body, "no certificate but for " NAMES));
		}
	}
	ask(H2, NAMES, own, less);
	assert_string_equal(signed_for(), H2);
	/* Who has the CA's key needs nobody's leave. */
	ask(NULL, "", bad[0], bad[1]);
	assert_string_equal(signed_for(), SELF);
	/* That it is root at a socket, who asks from elsewhere may only have stated. */
	ask_from("192.0.2.9", NULL, "", own, own);
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, 403);
}

/* Who has kept one from before makes no new one of it, as far as the host has shown another. */
static void
test_not_the_newest(void **state)
{
	static const char *const own[] = { "h2", ADDRESS };
	const int64_t day = 86400000;

	ops_add_host(H2, "h2", 1000);
	shown_begin = 100 * day;
	ask(H2, NAMES, own, own);
	assert_string_equal(signed_for(), H2);
	inventory_note_certificate(here.ctx.inventory, H2, 100 * day);
	/* Who signs next has a clock that is behind, or it was renewed twice. */
	shown_begin = 99 * day + 1000;
	ask(H2, NAMES, own, own);
	assert_string_equal(signed_for(), H2);
	shown_begin = 99 * day - 1000;
	ask(H2, NAMES, own, own);
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, 403);
	assert_non_null(strstr(here.body, "has shown a newer certificate"));
	/* That is not what an older one of these is good for otherwise. */
	inventory_note_certificate(here.ctx.inventory, H2, day);
	assert_true(inventory_is_newest(here.ctx.inventory, H2, 100 * day));
	assert_false(inventory_is_newest(here.ctx.inventory, H2, day));
	assert_true(inventory_is_newest(here.ctx.inventory, H3, day));
	ask(NULL, "", own, own);
	assert_string_equal(signed_for(), SELF);
	shown_begin = 0;
}

/* Nothing is taken with a request that is not looked at. */
static void
test_junk(void **state)
{
	static const char *const own[] = { "h2", ADDRESS };
	static const char *const more[] = { "x",
		"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n" };

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		for (int where = 0; where < 4; where++) {
			junk[where] = more[i];
			ask(where % 2 ? NULL : H2, NAMES, own, own);
			assert_null(ops_find_job(WORK_CLUSTER_SIGN));
			assert_int_equal(here.status, 400);
			assert_non_null(
			    strstr(here.body, where < 2 ? "\"request: is" : "qemu_request: is"));
			junk[where] = "";
		}
	}
	junk[1] = "\r\n \n";
	ask(H2, NAMES, own, own);
	assert_string_equal(signed_for(), H2);
	junk[1] = "";
}

/* What was written on stderr by a job that has signed this. */
static char *
said_of(const char *certificate)
{
	const struct cluster_sign_result result = { .certificate = (char *)certificate };
	int fd = memfd_create("stderr", MFD_CLOEXEC), before = dup(STDERR_FILENO);
	struct buffer b = { 0 };

	assert_true(fd >= 0 && before >= 0);
	dup2(fd, STDERR_FILENO);
	ops_end_job(WORK_CLUSTER_SIGN, &result);
	dup2(before, STDERR_FILENO);
	close(before);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(read_all(fd, &b, 1 << 20), 0);
	close(fd);
	buffer_add(&b, "", 0);
	return buffer_steal(&b, NULL);
}

/* Certificates cannot be taken back: who got which is in the log. */
static void
test_trace(void **state)
{
	static const char *const own[] = { "h2", ADDRESS };
	char *key = pki_key_new();
	struct error err = { 0 };
	_free_ char *ca = pki_ca_new(key, "a CA", &err);
	_free_ char *request = pki_request_new(key, own, 2, &err);
	_free_ char *certificate = pki_sign(ca, key, request, PKI_HOST, H2, 365, &err);
	_free_ char *said = NULL;

	ask(H2, NAMES, own, own);
	said = said_of(certificate);
	assert_int_equal(here.status, 200);
	if (!strstr(said, "signed for host '" H2 "', as me at 192.0.2.9 has asked: virtx:host:" H2
			  " for " NAMES ", until "))
		fail_msg("%s", said);
	pki_wipe(key);
}

/* What a host answers that has signed for this one; the caller frees. */
static char *
certificates_of(const char *host, int days)
{
	static const char *const own[] = { "h1", ADDRESS };
	char *key = pki_key_new();
	struct error err = { 0 };
	_free_ char *ca = pki_ca_new(key, "a CA", &err);
	_free_ char *request = pki_request_new(key, own, 2, &err);
	_free_ char *certificate = pki_sign(ca, key, request, PKI_HOST, host, days, &err);
	const struct cluster_certificates got = { certificate, (char *)"q", ca };
	char *body;
	size_t len;

	assert_non_null(certificate);
	body = json_encode(&cluster_certificates_model, &got, &len);
	pki_wipe(key);
	return body;
}

/* Root of a host without the key; the host that is asked first, which does not answer well. */
static const char *
first_asked(void)
{
	static const char *const own[] = { "h1", ADDRESS };
	static char first[UUID_TEXT_SIZE];

	ask(NULL, "", own, own);
	assert_int_equal(here.n_asked, 1);
	snprintf(first, sizeof(first), "%s", here.asked[0].host);
	return first;
}

/* One that hangs does not come first each day, and who has the key is known once it has signed. */
static void
test_order(void **state)
{
	struct config config = { .reply_timeout = 300 };
	_free_ char *body = certificates_of(SELF, 365), *others = certificates_of(H3, 365);
	_free_ char *ended = certificates_of(SELF, -4000);
	bool was_first[2] = { false };

	str_set(&here.config.tls_ca_key, "");
	ops_add_host(H2, "h2", 1000);
	ops_add_host(H3, "h3", 1000);
	for (int i = 0; i < 64; i++) {
		was_first[strcmp(first_asked(), H2) == 0] = true;
		ops_answer(0, "it was late");
		ops_answer(501, "");
		assert_int_equal(here.status, 503);
	}
	assert_true(was_first[0] && was_first[1]);
	while (strcmp(first_asked(), H3) != 0) {
		ops_answer(0, "it was late");
		ops_answer(0, "it was late");
	}
	/* What is no certificate of this host is not one that was signed. */
	here.status = 0;
	ops_answer(200, others);
	assert_int_equal(here.status, 0);
	ops_answer(200, ended);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "is no certificate of this host"));
	assert_non_null(strstr(here.body, "has ended"));
	assert_string_equal(here.ctx.renewed_by, "");
	while (strcmp(first_asked(), H3) != 0) {
		ops_answer(0, "it was late");
		ops_answer(0, "it was late");
	}
	ops_answer(200, body);
	assert_int_equal(here.status, 200);
	/* It was not, where it is asked for again soon. */
	for (int i = 0; i < 8; i++) {
		assert_string_equal(first_asked(), H2);
		ops_answer(0, "it was late");
		ops_answer(0, "it was late");
	}
	for (int i = 0; i < 8; i++) {
		here.ctx.renewed_at = monotonic_ms() - INT64_C(100) * 86400000;
		assert_string_equal(first_asked(), H3);
		ops_answer(200, body);
	}
	/* Several that hang are passed over in the time that virtx-renew.service has. */
	assert_int_equal(
	    core_ask_ms(&config, METHOD_POST, routes[ROUTE_CLUSTER_RENEW].path), 35000);
	assert_int_equal(core_ask_ms(&config, METHOD_POST, "/vms"), 310000);
}

/* Its certificate is good for what others ask, until they are told; and no longer. */
static void
test_put_out(void **state)
{
	static const char *const own[] = { "h2", ADDRESS };
	struct tokens *tokens = tokens_new();
	struct token_set none = { 0 };

	here.ctx.tokens =
	    token_keeper_new(here.ctx.base, &here.config, here.ctx.jobs, tokens, on_changed, NULL);
	ask(H2, NAMES, own, own);
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, 503);
	ops_end_job(WORK_TOKENS_LOAD, &none);
	ask(H2, NAMES, own, own);
	assert_string_equal(signed_for(), H2);
	tokens_put_out(tokens, H2, true);
	ask(H2, NAMES, own, own);
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, 403);
	assert_non_null(strstr(here.body, "was put out of the cluster"));
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	tokens_free(tokens);
}

/* Who has shown nothing is no host. */
static void
test_nothing_shown(void **state)
{
	static const char *const own[] = { "h2", ADDRESS };

	ask("", NAMES, own, own);
	assert_null(ops_find_job(WORK_CLUSTER_SIGN));
	assert_int_equal(here.status, 403);
	assert_non_null(strstr(here.body, "none was shown"));
}

/* Those that cannot be asked are passed over, each with its reason. */
static void
test_unreachable(void **state)
{
	static const char *const own[] = { "h1", ADDRESS };

	str_set(&here.config.tls_ca_key, "");
	ask(NULL, "", own, own);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "no active host has the key of the cluster's CA\""));
	ops_add_host(H2, "h2", 1000);
	ops_add_host(H3, "h3", 1000);
	here.unreachable = true;
	ask(NULL, "", own, own);
	assert_int_equal(here.n_asked, 0);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "host '" H2 "': serf does not say"));
	assert_non_null(strstr(here.body, "host '" H3 "': serf does not say"));
	assert_true(LIST_EMPTY(&here.ctx.renewings));
}

/* One that was put out signs for nobody. */
static void
test_put_out_not_asked(void **state)
{
	struct tokens *tokens = tokens_new();

	str_set(&here.config.tls_ca_key, "");
	ops_add_host(H2, "h2", 1000);
	ops_add_host(H3, "h3", 1000);
	inventory_set_tokens(here.ctx.inventory, tokens);
	tokens_put_out(tokens, H2, true);
	assert_string_equal(first_asked(), H3);
	ops_answer(501, "");
	assert_int_equal(here.n_asked, 0);
	assert_int_equal(here.status, 503);
	inventory_set_tokens(here.ctx.inventory, NULL);
	tokens_free(tokens);
}

/* What was said until virtxd stops is told. */
static void
test_stopped(void **state)
{
	str_set(&here.config.tls_ca_key, "");
	ops_add_host(H2, "h2", 1000);
	ops_add_host(H3, "h3", 1000);
	here.status = 0;
	first_asked();
	ops_answer(0, "it was late");
	assert_int_equal(here.n_asked, 1);
	assert_int_equal(here.status, 0);
	renewings_free(&here.ctx);
	assert_int_equal(here.status, 503);
	assert_non_null(strstr(here.body, "CA: host '"));
	assert_non_null(strstr(here.body, "it was late"));
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, ops_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_not_the_newest),
		TEST(test_junk),
		TEST(test_put_out),
		TEST(test_trace),
		TEST(test_order),
		TEST(test_nothing_shown),
		TEST(test_unreachable),
		TEST(test_put_out_not_asked),
		TEST(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
