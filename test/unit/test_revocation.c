/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CRL of hosts that were put out: who signs it, and who hands it over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include <string.h>

#include "domain/store.h"
#include "domain/token_file.h"
#include "proto/crl.h"
#include "scratch.h"
#include "work/works.h"

#define ONE "a0000000-0000-4000-8000-000000000001"
#define TWO "a0000000-0000-4000-8000-000000000002"

static char *ca, *ca_key;
static struct tokens_load_request req;
static struct token_set set;

static void
clear(void)
{
	model_clear(&token_set_model, &set);
	model_clear(&tokens_load_request_model, &req);
}

static int
setup(void **state)
{
	struct error err = { 0 };

	if (scratch_setup(state) < 0)
		return -1;
	scratch_mkdir(*state, "xml");
	scratch_write(*state, "xml/" STORE_MARKER, "");
	scratch_mkdir(*state, "run");
	scratch_mkdir(*state, "etc");
	ca_key = pki_key_new();
	ca = pki_ca_new(ca_key, "a CA", &err);
	scratch_write(*state, "etc/ca.pem", ca);
	scratch_write(*state, "etc/ca.key", ca_key);
	req = (struct tokens_load_request){ .env = { .root = xstrdup(*state),
						.run_dir = scratch_path(*state, "run") },
		.ca = scratch_path(*state, "etc/ca.pem"),
		.ca_key = scratch_path(*state, "etc/ca.key") };
	return 0;
}

static int
teardown(void **state)
{
	clear();
	pki_wipe(ca_key);
	free(ca);
	return scratch_teardown(state);
}

/* As the host that has the key, or one that does not. */
static void
load(bool signs)
{
	struct tokens_load_request asked = req;
	struct error err = { 0 };

	if (!signs)
		asked.ca_key = NULL;
	model_clear(&token_set_model, &set);
	if (work_tokens_load(&asked, &set, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
put_out(const char *root, const char *uuid, bool out)
{
	struct error err = { 0 };

	assert_int_equal(token_host_put_out(root, uuid, out, &err), 0);
}

/* NULL where there is none; the caller frees. */
static char *
file(const char *root, const char *name)
{
	_free_ char *path = scratch_path(root, name);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buffer b = { 0 };

	if (fd < 0)
		return NULL;
	assert_int_equal(read_all(fd, &b, CRL_MAX), 0);
	return buffer_steal(&b, NULL);
}

static void
drop(const char *root, const char *name)
{
	_free_ char *path = scratch_path(root, name);

	assert_int_equal(unlink(path), 0);
}

static bool
is_for(const char *root, const char *name, const char *host)
{
	_free_ char *crl = file(root, name);

	return crl && crl_has(crl, host);
}

/* As `virtx cluster renew`. */
static void
install(const char *root)
{
	_free_ char *crl = file(root, "run/crl.pem");

	assert_non_null(crl);
	scratch_write(root, "etc/crl.pem", crl);
	drop(root, "run/crl.pem");
}

static void
test_nobody_out(void **state)
{
	load(true);
	put_out(*state, ONE, false);
	load(true);
	assert_false(set.unsigned_out || set.signed_here);
	assert_string_equal(str_or_empty(set.taken), "");
	assert_null(file(*state, "auth/.crl"));
	assert_null(file(*state, "run/crl.pem"));
}

static void
test_put_out(void **state)
{
	put_out(*state, ONE, true);
	/* Without the key it is to be signed by another one. */
	load(false);
	assert_true(set.unsigned_out);
	assert_int_equal(set.n_out, 1);
	assert_non_null(strstr(set.taken, "a host that has the key of the cluster's CA"));
	assert_null(file(*state, "run/crl.pem"));
	load(true);
	assert_true(set.signed_here);
	assert_false(set.unsigned_out);
	assert_true(is_for(*state, "auth/.crl", ONE) && is_for(*state, "run/crl.pem", ONE));
	/* Until it is installed it is handed over again, and read again. */
	assert_non_null(strstr(set.taken, "has not taken over"));
	assert_string_equal(set.stamp, "");
	drop(*state, "run/crl.pem");
	load(false);
	assert_false(set.signed_here || set.unsigned_out);
	assert_true(is_for(*state, "run/crl.pem", ONE));
	install(*state);
	load(false);
	assert_string_equal(str_or_empty(set.taken), "");
	assert_string_not_equal(set.stamp, "");
	assert_null(file(*state, "run/crl.pem"));
	load(true);
	assert_false(set.signed_here);
	/* Who was killed on the way begins again. */
	scratch_write(*state, "run/crl.pem", "x");
	load(false);
	assert_true(is_for(*state, "run/crl.pem", ONE));
}

static void
test_another_and_back(void **state)
{
	put_out(*state, ONE, true);
	load(true);
	install(*state);
	put_out(*state, TWO, true);
	load(false);
	assert_true(set.unsigned_out);
	load(true);
	assert_true(is_for(*state, "run/crl.pem", ONE) && is_for(*state, "run/crl.pem", TWO));
	install(*state);
	put_out(*state, ONE, false);
	load(true);
	assert_true(!is_for(*state, "run/crl.pem", ONE) && is_for(*state, "run/crl.pem", TWO));
	install(*state);
	put_out(*state, TWO, false);
	load(true);
	assert_false(is_for(*state, "run/crl.pem", TWO));
	install(*state);
	load(false);
	assert_string_equal(str_or_empty(set.taken), "");
}

/* What others may have put there is never handed over, and made anew by who can. */
static void
test_hostile(void **state)
{
	static const char *const hosts[] = { TWO };
	struct error err = { 0 };
	char *key = pki_key_new(), *other = pki_ca_new(key, "a CA", &err);
	_free_ char *foreign = crl_sign(other, key, hosts, 1, 0, &err);
	const char *const texts[] = { "", "x", foreign, ca };

	put_out(*state, ONE, true);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		scratch_write(*state, "auth/.crl", texts[i]);
		load(false);
		assert_true(set.unsigned_out);
		assert_null(file(*state, "run/crl.pem"));
	}
	load(true);
	assert_true(is_for(*state, "run/crl.pem", ONE));
	/* Two hosts of two CAs would tell each other without end. */
	assert_false(set.signed_here);
	pki_wipe(key);
	free(other);
}

/* Of a host that is let in again what it had until then stays taken back. */
static void
test_let_in_again(void **state)
{
	struct error err = { 0 };
	int n;

	put_out(*state, ONE, true);
	load(true);
	install(*state);
	assert_int_equal(token_host_again(*state, ONE, false, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(token_host_again(*state, ONE, true, &n, &err), 0);
	assert_int_equal(n, 1);
	put_out(*state, ONE, false);
	load(true);
	assert_int_equal(set.n_out, 0);
	assert_int_equal(token_set_again(&set, ONE), 1);
	assert_int_equal(token_set_again(&set, TWO), 0);
	assert_string_equal(str_or_empty(set.taken), "");
	put_out(*state, ONE, true);
	load(true);
	assert_true(is_for(*state, "run/crl.pem", ONE) && is_for(*state, "run/crl.pem", ONE "#1"));
	assert_false(is_for(*state, "run/crl.pem", ONE "#2"));
	install(*state);
	assert_int_equal(token_host_again(*state, ONE, true, &n, &err), 0);
	assert_int_equal(n, 2);
	put_out(*state, ONE, false);
	load(true);
	assert_int_equal(token_set_again(&set, ONE), 2);
	assert_string_equal(str_or_empty(set.taken), "");
	/* The last one counts, where one who was killed has left another. */
	scratch_write(*state, "auth/.again." ONE ".1", "");
	scratch_write(*state, "auth/.again." ONE ".x", "");
	scratch_write(*state, "auth/.again." ONE ".100", "");
	scratch_write(*state, "auth/.again.x.1", "");
	load(true);
	assert_int_equal(token_set_again(&set, ONE), 2);
	assert_int_equal(set.n_again, 2);
	assert_string_equal(str_or_empty(set.taken), "");
	scratch_write(*state, "auth/.again." ONE ".99", "");
	assert_int_equal(token_host_again(*state, ONE, true, &n, &err), -1);
	assert_non_null(strstr(err.detail, "it needs another UUID"));
	assert_int_equal(token_host_again(*state, "x", true, &n, &err), -1);
	assert_int_equal(err.status, 400);
}

/* What is installed cannot be read: it is written anew, and nobody else waits for that. */
static void
test_installed_damaged(void **state)
{
	_free_ char *large = xcalloc(CRL_MAX + 2, 1);

	memset(large, 'x', CRL_MAX + 1);
	scratch_write(*state, "etc/crl.pem", large);
	put_out(*state, ONE, true);
	load(true);
	assert_true(set.signed_here);
	assert_true(is_for(*state, "run/crl.pem", ONE));
}

/* Whoever may write to the storage has kept the one of before. */
static void
test_rolled_back(void **state)
{
	_free_ char *before = NULL, *newest = NULL, *is = NULL;

	put_out(*state, ONE, true);
	load(true);
	before = file(*state, "auth/.crl");
	install(*state);
	put_out(*state, TWO, true);
	load(true);
	newest = file(*state, "run/crl.pem");
	install(*state);
	scratch_write(*state, "auth/.crl", before);
	load(false);
	assert_true(set.unsigned_out);
	assert_non_null(strstr(set.taken, "is older than the one of this host"));
	assert_null(file(*state, "run/crl.pem"));
	/* Nor where whom it lacks is let in by that, too. */
	put_out(*state, TWO, false);
	load(false);
	assert_true(set.unsigned_out);
	assert_null(file(*state, "run/crl.pem"));
	/* Another one is signed, by whoever can. */
	put_out(*state, TWO, true);
	load(true);
	assert_true(set.signed_here);
	is = file(*state, "run/crl.pem");
	assert_true(crl_number(is) > crl_number(newest));
	assert_true(crl_has(is, ONE) && crl_has(is, TWO));
	install(*state);
	/* Also one for nobody, where all are let in and it was lost. */
	put_out(*state, ONE, false);
	put_out(*state, TWO, false);
	drop(*state, "auth/.crl");
	load(false);
	assert_true(set.unsigned_out);
	load(true);
	assert_false(is_for(*state, "run/crl.pem", ONE));
	install(*state);
	load(false);
	assert_string_equal(str_or_empty(set.taken), "");
}

/* Tokens are read whatever is wrong with it. */
static void
test_no_key(void **state)
{
	put_out(*state, ONE, true);
	scratch_write(*state, "etc/ca.key", "no key");
	load(true);
	assert_true(set.unsigned_out);
	assert_int_equal(set.n_out, 1);
	assert_non_null(strstr(set.taken, "not of one another"));
	assert_null(file(*state, "auth/.crl"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_out),
		TEST(test_put_out),
		TEST(test_another_and_back),
		TEST(test_hostile),
		TEST(test_let_in_again),
		TEST(test_installed_damaged),
		TEST(test_rolled_back),
		TEST(test_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
