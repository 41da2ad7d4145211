/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cluster's CA: what it signs, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proto/certificate.h"
#include "proto/pki.h"

#define HOST  "99999999-2222-3333-4444-555555555555"
#define OTHER "99999999-2222-3333-4444-666666666666"

static const char *const names[] = { "h1", "h1.example.net", "192.0.2.1", "2001:db8::1" };

struct fixture {
	char *ca_key, *ca, *key, *request;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err = { 0 };

	f->ca_key = pki_key_new();
	f->ca = pki_ca_new(f->ca_key, "a CA", &err);
	f->key = pki_key_new();
	f->request = pki_request_new(f->key, names, ARRAY_SIZE(names), &err);
	*state = f;
	return f->ca && f->request ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	pki_wipe(f->ca_key);
	pki_wipe(f->key);
	free(f->ca);
	free(f->request);
	free(f);
	return 0;
}

static X509 *
read_certificate(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(certificate);
	return certificate;
}

/* Whether who trusts the CA takes it for this. */
static bool
is_trusted(const char *ca_text, X509 *certificate, int purpose)
{
	X509 *ca = read_certificate(ca_text);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool trusted;

	X509_STORE_add_cert(store, ca);
	X509_STORE_CTX_init(ctx, store, certificate, NULL);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	trusted = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(ca);
	return trusted;
}

static void
assert_trusted(const char *ca, X509 *certificate)
{
	assert_true(is_trusted(ca, certificate, X509_PURPOSE_SSL_SERVER));
	assert_true(is_trusted(ca, certificate, X509_PURPOSE_SSL_CLIENT));
}

static void
test_host(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *text = pki_sign(f->ca, f->ca_key, f->request, PKI_HOST, HOST, 365, &err);
	_free_ char *asked = pki_request_names(f->request, &err), *about = NULL;
	static const char words[] =
	    "virtx:host:" HOST " for h1,h1.example.net,192.0.2.1,2001:db8::1, until 2";
	char host[UUID_TEXT_SIZE], name[64];
	int64_t length, end;
	X509 *certificate;

	assert_string_equal(asked, "h1,h1.example.net,192.0.2.1,2001:db8::1");
	assert_non_null(text);
	certificate = read_certificate(text);
	assert_trusted(f->ca, certificate);
	assert_true(certificate_host(certificate, host));
	assert_false(certificate_is_qemu(certificate));
	assert_string_equal(host, HOST);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(certificate_has_name(certificate, names[i]));
	assert_true(pki_has_names(text, names, ARRAY_SIZE(names)));
	assert_false(pki_has_names(text, (const char *const[]){ "h2" }, 1));
	X509_NAME_get_text_by_NID(
	    X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "virtx:host:" HOST);
	about = pki_about(text);
	if (strncmp(about, words, strlen(words)) != 0 || strlen(strstr(about, ", serial ")) != 41)
		fail_msg("%s", about);
	assert_null(pki_about("none"));
	end = pki_end(text, &length);
	assert_int_equal(end, certificate_end(certificate));
	assert_true(
	    end - now_ms() > 364 * INT64_C(86400000) && end - now_ms() <= 365 * INT64_C(86400000));
	assert_true(length >= 365 * INT64_C(86400000));
	X509_free(certificate);
}

/* What a guest that broke out of QEMU could read is nobody to other hosts, nor to libvirt. */
static void
test_qemu(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *text = pki_sign(f->ca, f->ca_key, f->request, PKI_QEMU, HOST, 365, &err);
	char host[UUID_TEXT_SIZE], name[64];
	X509 *certificate = read_certificate(text);

	assert_trusted(f->ca, certificate);
	assert_false(certificate_host(certificate, host));
	assert_true(certificate_is_qemu(certificate));
	assert_true(certificate_has_name(certificate, "192.0.2.1"));
	X509_NAME_get_text_by_NID(
	    X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "virtx:qemu:" HOST);
	X509_free(certificate);
}

/* A request that asks to be another host's gets the host that it is signed for alone. */
static char *
request_with(const char *key_text, const char *san, bool is_signed)
{
	BIO *in = BIO_new_mem_buf(key_text, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	X509_REQ *request = X509_REQ_new();
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	char *data, *text;
	long len;

	X509v3_add_ext(&extensions, extension, -1);
	X509_EXTENSION_free(extension);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
	X509v3_add_ext(&extensions, extension, -1);
	X509_REQ_set_pubkey(request, key);
	X509_REQ_add_extensions(request, extensions);
	X509_REQ_sign(request, key, EVP_sha256());
	if (!is_signed)
		X509_REQ_set_version(request, 1);
	PEM_write_bio_X509_REQ(out, request);
	len = BIO_get_mem_data(out, &data);
	text = xmemdup(data, (size_t)len);
	X509_EXTENSION_free(extension);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	return text;
}

/* Whether a critical extension is there that GnuTLS, and with it QEMU and libvirt, does not know.
 */
static bool
has_barrier(X509 *certificate)
{
	int at = X509_get_ext_by_NID(certificate, NID_netscape_cert_type, -1);

	return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) == 1;
}

/* A user is one for virtxd, as a client alone; neither QEMU nor libvirt lets them in. */
static void
test_user(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *request = request_with(f->key, "URI:virtx:host:" OTHER ",DNS:h1", true);
	_free_ char *text = pki_sign_user(f->ca, f->ca_key, request, "alice", 3600, &err);
	char host[UUID_TEXT_SIZE], user[TOKEN_NAME_MAX + 1], name[64];
	X509 *certificate;

	assert_non_null(text);
	certificate = read_certificate(text);
	assert_true(is_trusted(f->ca, certificate, X509_PURPOSE_SSL_CLIENT));
	assert_false(is_trusted(f->ca, certificate, X509_PURPOSE_SSL_SERVER));
	assert_true(certificate_user(certificate, user));
	assert_string_equal(user, "alice");
	/* Nothing of what it asks to be. */
	assert_false(certificate_host(certificate, host));
	assert_false(certificate_has_name(certificate, "h1"));
	assert_int_equal(X509_check_ca(certificate), 0);
	assert_true(has_barrier(certificate));
	X509_NAME_get_text_by_NID(
	    X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
	assert_string_equal(name, "virtx:user:alice");
	assert_in_range(certificate_end(certificate) - now_ms(), 3500000, 3601000);
	X509_free(certificate);
	/* Those of hosts have to be taken by QEMU. */
	_free_ char *of_host = pki_sign(f->ca, f->ca_key, f->request, PKI_HOST, HOST, 365, &err);
	certificate = read_certificate(of_host);
	assert_false(has_barrier(certificate) || certificate_user(certificate, user));
	X509_free(certificate);
}

static void
test_user_refused(void **state)
{
	static const char *const bad[] = { "", ".", "../a", "a b", ("a,URI:virtx:host:" HOST),
		"a23456789-b23456789-c23456789-d23456789-e23456789" };
	struct fixture *f = *state;
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_null(pki_sign_user(f->ca, f->ca_key, f->request, bad[i], 3600, &err));
		assert_int_equal(err.status, 400);
	}
	assert_null(pki_sign_user(f->ca, f->ca_key, f->ca, "alice", 3600, &err));
	assert_int_equal(err.status, 400);
	assert_null(pki_sign_user(f->ca, f->key, f->request, "alice", 3600, &err));
	assert_int_equal(err.status, 500);
}

static void
test_matches(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *text = pki_sign(f->ca, f->ca_key, f->request, PKI_HOST, HOST, 365, &err);
	_free_ char *qemu = pki_sign(f->ca, f->ca_key, f->request, PKI_QEMU, HOST, 365, &err);
	char host[UUID_TEXT_SIZE];
	char *other_key = pki_key_new();
	_free_ char *other_ca = pki_ca_new(other_key, "a CA", &err);

	assert_true(pki_matches(text, f->key, f->ca, PKI_HOST, HOST));
	assert_true(pki_matches(qemu, f->key, f->ca, PKI_QEMU, HOST));
	assert_false(pki_matches(qemu, f->key, f->ca, PKI_HOST, HOST));
	assert_false(pki_matches(text, f->key, f->ca, PKI_QEMU, HOST));
	assert_true(pki_host(text, host));
	assert_string_equal(host, HOST);
	assert_false(pki_host(qemu, host));
	assert_false(pki_host("", host));
	assert_false(pki_matches(text, f->key, f->ca, PKI_HOST, OTHER));
	assert_false(pki_matches(text, other_key, f->ca, PKI_HOST, HOST));
	assert_false(pki_matches(text, f->key, other_ca, PKI_HOST, HOST));
	assert_false(pki_matches("", f->key, f->ca, PKI_HOST, HOST));
	pki_wipe(other_key);
}

static void
assert_refused(struct fixture *f, const char *request, const char *uuid, const char *words)
{
	struct error err = { 0 };

	assert_null(pki_sign(f->ca, f->ca_key, request, PKI_HOST, uuid, 365, &err));
	assert_int_equal(err.status, 400);
	assert_non_null(strstr(err.detail, words));
}

static void
test_refused(void **state)
{
	static const char *const bad[] = { ("URI:virtx:host:" OTHER), "email:a@example.net",
		"DNS:*.example.net", "DNS:h1,DNS:a b", "DNS:.x", "DNS:x..y" };
	struct fixture *f = *state;
	struct error err = { 0 };
	struct buffer many = { 0 };

	assert_refused(f, "", HOST, "none in PEM");
	assert_refused(f, f->ca, HOST, "none in PEM");
	assert_refused(f, f->request, "h1", "not the UUID");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_free_ char *request = request_with(f->key, bad[i], true);

		assert_refused(f, request, HOST, "neither a name nor an address");
		assert_null(pki_request_names(request, &err));
	}
	for (int i = 0; i <= PKI_NAMES_MAX; i++)
		buffer_printf(&many, "%sDNS:h%d", i ? "," : "", i);
	_free_ char *request = request_with(f->key, many.data, true);
	assert_refused(f, request, HOST, "more than");
	_free_ char *altered = request_with(f->key, "DNS:h1", false);
	assert_refused(f, altered, HOST, "not signed by its key");
	buffer_clear(&many);
	/* The key is of another CA. */
	assert_null(pki_sign(f->ca, f->key, f->request, PKI_HOST, HOST, 365, &err));
	assert_int_equal(err.status, 500);
}

/* What else it asks for is not heard. */
static void
test_no_ca(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *request = request_with(f->key, "DNS:h1", true);
	_free_ char *text = pki_sign(f->ca, f->ca_key, request, PKI_HOST, HOST, 365, &err);
	X509 *certificate = read_certificate(text);

	assert_int_equal(X509_check_ca(certificate), 0);
	X509_free(certificate);
}

static void
test_host_names(void **state)
{
	static const char *const bad[] = { "", "localhost", "LocalHost", "localhost.localdomain",
		"192.0.2.1", "2001:db8::1", "a b", "-a",
		"a1234567890123456789012345678901234567890123456789012345678901234" };

	assert_true(pki_host_name_valid("h1"));
	assert_true(pki_host_name_valid("h1.example.net"));
	assert_true(pki_host_name_valid("localhost1"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(pki_host_name_valid(bad[i]));
}

/* Another kind of key takes far longer to check. */
static void
test_other_key(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = EVP_EC_gen("P-384");
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	long len;

	PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(out, &data);
	_free_ char *text = xmemdup(data, (size_t)len);
	_free_ char *request = request_with(text, "DNS:h1", true);
	assert_refused(f, request, HOST, "P-256");
	EVP_PKEY_free(key);
	BIO_free(out);
}

/* The same CA with another end, in so many seconds from now. */
static char *
ending_ca(struct fixture *f, long seconds)
{
	BIO *in = BIO_new_mem_buf(f->ca_key, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509 *ca = read_certificate(f->ca);
	char *data, *text;
	long len;

	X509_gmtime_adj(X509_getm_notAfter(ca), seconds);
	X509_sign(ca, key, EVP_sha256());
	PEM_write_bio_X509(out, ca);
	len = BIO_get_mem_data(out, &data);
	text = xmemdup(data, (size_t)len);
	X509_free(ca);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	return text;
}

/* Who looks at a host's certificate sees when all is over. */
static void
test_end_of_ca(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *ca = ending_ca(f, 10 * 86400L), *ended = ending_ca(f, -1);
	_free_ char *text = pki_sign(ca, f->ca_key, f->request, PKI_HOST, HOST, 365, &err);
	_free_ char *brief = pki_sign(ca, f->ca_key, f->request, PKI_HOST, HOST, 5, &err);
	int64_t length, end = pki_end(ca, &length);

	assert_int_equal(pki_end(text, &length), end);
	assert_true(pki_end(brief, &length) < end);
	assert_true(pki_matches(text, f->key, ca, PKI_HOST, HOST));
	assert_null(pki_sign(ended, f->ca_key, f->request, PKI_HOST, HOST, 365, &err));
	assert_int_equal(err.status, 500);
	assert_string_equal(err.detail, "the CA's certificate has ended");
}

/* A renewed certificate is for what the present one is for. */
static void
test_again(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *text = pki_sign(f->ca, f->ca_key, f->request, PKI_HOST, HOST, 365, &err);
	_free_ char *request = pki_request_again(f->key, text, &err);
	_free_ char *renewed = pki_sign(f->ca, f->ca_key, request, PKI_HOST, HOST, 365, &err);

	assert_non_null(renewed);
	assert_string_not_equal(renewed, text);
	assert_true(pki_matches(renewed, f->key, f->ca, PKI_HOST, HOST));
	assert_true(pki_has_names(renewed, names, ARRAY_SIZE(names)));
	assert_null(pki_request_again(f->key, "", &err));
}

static void
test_fingerprint(void **state)
{
	struct fixture *f = *state;
	char print[PKI_FINGERPRINT_SIZE], again[PKI_FINGERPRINT_SIZE];
	_free_ char *chain = xasprintf("%s%s", f->ca, f->ca);
	struct error err = { 0 };

	assert_int_equal(pki_fingerprint(f->ca, print, &err), 0);
	assert_int_equal(strspn(print, "0123456789abcdef"), 64);
	assert_int_equal(pki_fingerprint(chain, again, &err), 0);
	assert_string_equal(print, again);
	assert_int_equal(pki_fingerprint(f->key, print, &err), -1);
}

/* As people have it before them. */
static void
test_fingerprint_shown(void **state)
{
	static const char *const bad[] = { "", "0", ":", "00", "0g", "00:", ":00", "00::11", "0:0",
		" 00" };
	struct fixture *f = *state;
	char print[PKI_FINGERPRINT_SIZE], read[PKI_FINGERPRINT_SIZE], shown[PKI_SHOWN_SIZE];
	struct error err = { 0 };

	assert_int_equal(pki_fingerprint(f->ca, print, &err), 0);
	pki_fingerprint_show(print, shown);
	assert_int_equal(strlen(shown), 95);
	assert_int_equal(strspn(shown, "0123456789ABCDEF:"), 95);
	assert_true(pki_fingerprint_parse(shown, read));
	assert_string_equal(read, print);
	assert_true(pki_fingerprint_parse(print, read));
	assert_string_equal(read, print);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_free_ char *behind = xasprintf("%s%s", print, bad[i]);

		assert_false(pki_fingerprint_parse(bad[i], read));
		if (*bad[i])
			assert_false(pki_fingerprint_parse(behind, read));
	}
}

static void
test_common_name(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	_free_ char *host = pki_sign(f->ca, f->ca_key, f->request, PKI_HOST, HOST, 1, &err);
	bool alone;
	_free_ char *name = pki_common_name(host, &alone);
	_free_ char *none = NULL;

	assert_true(alone);
	assert_string_equal(name, "virtx:host:" HOST);
	none = pki_common_name("none", &alone);
	assert_false(alone);
	assert_string_equal(none, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fingerprint_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_qemu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_common_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_matches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ca, setup, teardown),
		cmocka_unit_test(test_host_names),
		cmocka_unit_test_setup_teardown(test_other_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fingerprint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_ca, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
