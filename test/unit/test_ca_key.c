/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CA's key on its way: who opens it, and who does not. */
#include "proto/ca_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pki.h"

#define HOST "99999999-2222-3333-4444-555555555555"

static const char *const names[] = { "h1", "192.0.2.1" };

struct fixture {
	char *ca_key, *ca, *key, *certificate;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_free_ char *request = NULL;
	struct error err = { 0 };

	f->ca_key = pki_key_new();
	f->ca = pki_ca_new(f->ca_key, "a CA", &err);
	f->key = pki_key_new();
	request = pki_request_new(f->key, names, ARRAY_SIZE(names), &err);
	f->certificate = pki_sign(f->ca, f->ca_key, request, PKI_HOST, HOST, 365, &err);
	*state = f;
	return f->certificate ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	pki_wipe(f->ca_key);
	pki_wipe(f->key);
	free(f->ca);
	free(f->certificate);
	free(f);
	return 0;
}

/* What is sent has nothing of the key in it, and is another text each time. */
static void
test_opens(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *sealed = ca_key_seal(f->ca_key, f->certificate, &err);
	_free_ char *again = ca_key_seal(f->ca_key, f->certificate, &err);
	_free_ char *line = xstrndup(strchr(f->ca_key, '\n') + 1, 64);
	char *opened;

	assert_non_null(sealed);
	assert_string_not_equal(sealed, again);
	assert_null(strstr(sealed, line));
	opened = ca_key_open(sealed, f->key, f->ca, &err);
	assert_string_equal(opened, f->ca_key);
	pki_wipe(opened);
}

static void
assert_closed(const char *sealed, const char *key, const char *ca, const char *words)
{
	struct error err = { 0 };

	assert_null(ca_key_open(sealed, key, ca, &err));
	if (!strstr(err.detail, words))
		fail_msg("'%s' is not in %s", words, err.detail);
}

static void
test_closed(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	char *other = pki_key_new();
	_free_ char *other_ca = pki_ca_new(other, "another CA", &err);
	_free_ char *sealed = ca_key_seal(f->ca_key, f->certificate, &err);
	_free_ char *wrong = ca_key_seal(other, f->certificate, &err);
	_free_ char *text = ca_key_seal("no key", f->certificate, &err);
	_free_ char *cut = xstrndup(sealed, strlen(sealed) / 2);

	assert_closed(sealed, other, f->ca, "was not sealed for this host");
	assert_closed(sealed, "", f->ca, "was not sealed for this host");
	assert_closed(cut, f->key, f->ca, "was not sealed for this host");
	assert_closed("", f->key, f->ca, "was not sealed for this host");
	assert_closed(f->ca_key, f->key, f->ca, "was not sealed for this host");
	assert_closed(sealed, f->key, other_ca, "is not that of the CA");
	assert_closed(wrong, f->key, f->ca, "is not that of the CA");
	assert_closed(text, f->key, f->ca, "is not that of the CA");
	assert_null(ca_key_seal(f->ca_key, "no certificate", &err));
	assert_non_null(strstr(err.detail, "its certificate is none"));
	pki_wipe(other);
}

/* A bit that is another one on the way is seen, wherever it is. */
static void
test_changed(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *sealed = ca_key_seal(f->ca_key, f->certificate, &err);

	/* The lines of base64 alone; the last one may have bits that count for nothing. */
	for (size_t i = strlen("-----BEGIN CMS-----\n"); i + 100 < strlen(sealed); i += 7) {
		char was = sealed[i], *opened;

		if (was == '\n')
			continue;
		sealed[i] = was == 'A' ? 'B' : 'A';
		opened = ca_key_open(sealed, f->key, f->ca, &err);
		/* What says who may open it, and not what is in it, may be another one. */
		if (opened)
			assert_string_equal(opened, f->ca_key);
		pki_wipe(opened);
		sealed[i] = was;
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_opens),
		TEST(test_closed),
		TEST(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
