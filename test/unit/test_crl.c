/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates of hosts that the cluster's CA takes back, whenever they were signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/x509v3.h>
#include <string.h>

#include "proto/crl.h"
#include "proto/pem.h"

#define ONE  "99999999-2222-3333-4444-555555555555"
#define TWO  "99999999-2222-3333-4444-666666666666"
#define DAY  (INT64_C(86400) * 1000)
#define YEAR (PKI_CERTIFICATE_DAYS * DAY)

static int64_t offset_ms; /* of the clock */

int64_t __real_now_ms(void);
int64_t __wrap_now_ms(void);

int64_t
__wrap_now_ms(void)
{
	return __real_now_ms() + offset_ms;
}

static const char *const names[] = { "h1" };
static char *ca_key, *ca, *key, *request;

static int
setup(void **state)
{
	struct error err = { 0 };

	ca_key = pki_key_new();
	ca = pki_ca_new(ca_key, "a CA", &err);
	key = pki_key_new();
	request = pki_request_new(key, names, ARRAY_SIZE(names), &err);
	offset_ms = 0;
	return ca && request ? 0 : -1;
}

static int
teardown(void **state)
{
	pki_wipe(ca_key);
	pki_wipe(key);
	free(ca);
	free(request);
	return 0;
}

static char *
sign(enum pki_kind kind, const char *host)
{
	struct error err = { 0 };
	char *certificate = pki_sign(ca, ca_key, request, kind, host, PKI_CERTIFICATE_DAYS, &err);

	assert_non_null(certificate);
	return certificate;
}

/* As any other program looks: by the number. */
static bool
takes_back(const char *crl_text, char *certificate_text)
{
	_x509_ X509 *certificate = pem_certificate(certificate_text);
	_bio_ BIO *bio = pem_open(crl_text);
	X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
	X509_REVOKED *found;
	bool does;

	assert_non_null(crl);
	does = X509_CRL_get0_by_cert(crl, &found, certificate) == 1;
	X509_CRL_free(crl);
	free(certificate_text);
	return does;
}

/* All that a host may have whose certificates have not ended, and nobody else's. */
static void
test_all_of_a_host(void **state)
{
	static const char *const out[] = { ONE };
	struct error err = { 0 };
	char *crl = crl_sign(ca, ca_key, out, 1, 0, &err);

	assert_non_null(crl);
	/* A clock that signs certificates is ahead, or behind, as well. */
	for (int64_t day = -PKI_CERTIFICATE_DAYS; day <= 180; day += 5) {
		offset_ms = day * DAY;
		assert_true(takes_back(crl, sign(PKI_HOST, ONE)));
		assert_true(takes_back(crl, sign(PKI_QEMU, ONE)));
		assert_false(takes_back(crl, sign(PKI_HOST, TWO)));
		assert_false(takes_back(crl, sign(PKI_QEMU, TWO)));
	}
	free(crl);
}

static char *
serial_after(int64_t ms)
{
	char *text, *about, *serial;

	offset_ms = ms;
	text = sign(PKI_HOST, ONE);
	about = pki_about(text);
	serial = xstrdup(strstr(about, "serial "));
	free(about);
	free(text);
	return serial;
}

/* One that is renewed in time gets another number. */
static void
test_numbers(void **state)
{
	for (int64_t day = 0; day < PKI_CERTIFICATE_DAYS; day += 30) {
		_free_ char *first = serial_after(day * DAY);
		_free_ char *next = serial_after(day * DAY + YEAR * 2 / 3);

		assert_string_not_equal(first, next);
	}
}

static void
test_hosts_of_it(void **state)
{
	static const char *const both[] = { ONE, TWO };
	struct error err = { 0 };
	char *one = crl_sign(ca, ca_key, both, 1, 0, &err);
	char *two = crl_sign(ca, ca_key, both, 2, 0, &err);
	char *none = crl_sign(ca, ca_key, both, 0, 0, &err);

	assert_true(crl_is_for(one, both, 1) && crl_has(one, ONE) && !crl_has(one, TWO));
	assert_false(crl_is_for(one, both, 2) || crl_is_for(one, both + 1, 1));
	assert_false(crl_is_for(one, both, 0));
	assert_true(crl_is_for(two, both, 2) && crl_has(two, ONE) && crl_has(two, TWO));
	assert_false(crl_is_for(two, both, 1));
	assert_true(crl_is_for(none, both, 0) && !crl_has(none, ONE));
	assert_false(crl_is_for("", both, 0) || crl_has("", ONE));
	/* It is signed again before those end that it does not know of yet; two who have clocks
	 * that differ by half a year take turns no more than once. */
	for (int64_t day = -182; day <= PKI_CERTIFICATE_DAYS; day += 7) {
		offset_ms = day * DAY;
		assert_true(crl_is_for(two, both, 2));
	}
	offset_ms = 2 * YEAR;
	assert_false(crl_is_for(two, both, 2));
	free(one);
	free(two);
	free(none);
}

/* It comes from a storage that others write to. */
static void
test_taken(void **state)
{
	static const char *const out[] = { ONE };
	struct error err = { 0 };
	char *crl = crl_sign(ca, ca_key, out, 1, 0, &err);
	char *other_key = pki_key_new();
	char *other_ca = pki_ca_new(other_key, "a CA", &err);
	_free_ char *others = crl_sign(other_ca, other_key, out, 1, 0, &err);
	_free_ char *taken = crl_take(crl, ca);
	_free_ char *more = xasprintf("x\n%s%s", crl, ca);
	_free_ char *alone = crl_take(more, ca);

	assert_string_equal(taken, crl);
	/* Nothing of what is before or after it. */
	assert_string_equal(alone, crl);
	assert_null(crl_take(others, ca));
	assert_null(crl_take(ca, ca));
	assert_null(crl_take("", ca));
	assert_null(crl_take(crl, ""));
	for (size_t i = 40; i < strlen(crl); i += 7) {
		_free_ char *broken = xstrdup(crl);
		_free_ char *found = NULL;

		broken[i] = broken[i] == 'A' ? 'B' : 'A';
		found = crl_take(broken, ca);
		assert_true(!found || strcmp(found, crl) == 0);
	}
	assert_null(crl_sign(ca, other_key, out, 1, 0, &err));
	assert_int_equal(err.status, 500);
	pki_wipe(other_key);
	free(other_ca);
	free(crl);
}

/* The next is later, whoever has signed the one before by whatever clock. */
static void
test_order(void **state)
{
	static const char *const out[] = { ONE };
	struct error err = { 0 };
	_free_ char *first = NULL, *next = NULL, *last = NULL;

	offset_ms = YEAR;
	first = crl_sign(ca, ca_key, out, 1, 0, &err);
	offset_ms = 0;
	next = crl_sign(ca, ca_key, out, 1, crl_number(first), &err);
	assert_true(crl_number(first) > now_ms());
	assert_int_equal(crl_number(next), crl_number(first) + 1);
	last = crl_sign(ca, ca_key, out, 1, INT64_MAX, &err);
	assert_int_equal(crl_number(last), INT64_MAX);
	assert_int_equal(crl_number(NULL), 0);
	assert_int_equal(crl_number(ca), 0);
}

/* Whose clock is behind that of who has signed it would take nobody at all by one of a time to
 * come. */
static void
test_times(void **state)
{
	static const char *const out[] = { ONE };
	struct error err = { 0 };
	_free_ char *text = crl_sign(ca, ca_key, out, 1, 0, &err);
	_x509_ X509 *anchor = pem_certificate(ca);
	_bio_ BIO *bio = pem_open(text);
	X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);

	assert_int_equal(
	    ASN1_TIME_compare(X509_CRL_get0_lastUpdate(crl), X509_get0_notBefore(anchor)), 0);
	assert_int_equal(
	    ASN1_TIME_compare(X509_CRL_get0_nextUpdate(crl), X509_get0_notAfter(anchor)), 0);
	X509_CRL_free(crl);
}

/* What a host had before it was put out is told from what it gets when it is let in again, by
 * whoever asks by the number alone. */
static void
test_again(void **state)
{
	static const char *const before[] = { ONE }, *const all[] = { ONE, ONE "#1" };
	struct error err = { 0 };
	_free_ char *crl = crl_sign(ca, ca_key, before, 1, 0, &err);
	_free_ char *both = crl_sign(ca, ca_key, all, 2, 0, &err);
	char *old = sign(PKI_HOST, ONE), *again = sign(PKI_HOST, ONE "#1");
	_x509_ X509 *first = pem_certificate(old), *second = pem_certificate(again);
	char host[UUID_TEXT_SIZE];

	assert_true(pki_host(again, host));
	assert_string_equal(host, ONE);
	assert_true(crl_is_before(first, ONE, 1) && crl_is_before(first, ONE, 2));
	assert_false(crl_is_before(first, ONE, 0) || crl_is_before(first, TWO, 1));
	assert_false(crl_is_before(second, ONE, 1));
	assert_true(crl_is_before(second, ONE, 2));
	assert_true(takes_back(crl, old));
	assert_false(takes_back(crl, again));
	assert_true(takes_back(both, sign(PKI_HOST, ONE "#1")));
	assert_true(takes_back(both, sign(PKI_QEMU, ONE "#1")));
	assert_false(takes_back(both, sign(PKI_QEMU, ONE "#2")));
	assert_true(crl_is_for(both, all, 2));
	assert_false(crl_is_for(both, all, 1) || crl_is_for(crl, all, 2));
	assert_null(pki_sign(ca, ca_key, request, PKI_HOST, "x#1", 10, &err));
}

/* What OpenSSL makes of it. */
static void
test_verified(void **state)
{
	static const char *const out[] = { ONE };
	struct error err = { 0 };
	char *crl = crl_sign(ca, ca_key, out, 1, 0, &err);
	char *texts[] = { sign(PKI_HOST, ONE), sign(PKI_HOST, TWO) };
	static const int wanted[] = { X509_V_ERR_CERT_REVOKED, X509_V_OK };
	_x509_ X509 *anchor = pem_certificate(ca);
	_bio_ BIO *bio = pem_open(crl);
	X509_CRL *parsed = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
	X509_STORE *store = X509_STORE_new();

	assert_int_equal(X509_STORE_add_cert(store, anchor), 1);
	assert_int_equal(X509_STORE_add_crl(store, parsed), 1);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_x509_ X509 *certificate = pem_certificate(texts[i]);
		X509_STORE_CTX *check = X509_STORE_CTX_new();

		assert_int_equal(X509_STORE_CTX_init(check, store, certificate, NULL), 1);
		(void)X509_verify_cert(check);
		assert_int_equal(X509_STORE_CTX_get_error(check), wanted[i]);
		X509_STORE_CTX_free(check);
		free(texts[i]);
	}
	X509_STORE_free(store);
	X509_CRL_free(parsed);
	free(crl);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_of_a_host),
		TEST(test_numbers),
		TEST(test_hosts_of_it),
		TEST(test_taken),
		TEST(test_order),
		TEST(test_again),
		TEST(test_times),
		TEST(test_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
