/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom a certificate is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "certificates.h"
#include "proto/certificate.h"

#define HOST "11111111-2222-3333-4444-55555555abcd"

static char folder[] = "/tmp/virtx-certificate-XXXXXX";

static X509 *
make(const struct authority *authority, const char *san, int to)
{
	_free_ char *pem = authority_path(authority, "one.pem");
	X509 *certificate;
	FILE *file;

	authority_sign(authority, "one", san, -1, to);
	file = fopen(pem, "r");
	assert_non_null(file);
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	assert_non_null(certificate);
	(void)fclose(file);
	return certificate;
}

static void
test_host(void **state)
{
	static const struct {
		const char *san, *host;
	} cases[] = {
		{ "URI:virtx:host:" HOST, HOST },
		{ "URI:virtx:host:11111111-2222-3333-4444-55555555ABCD", HOST },
		{ "DNS:h1,URI:https://h1/,URI:virtx:host:" HOST ",IP:10.0.0.1", HOST },
		{ NULL, NULL },
		{ "DNS:h1", NULL },
		{ "URI:virtx:host:", NULL },
		{ "URI:virtx:host:" HOST "0", NULL },
		{ "URI:virtx:host:11111111-2222-3333-4444-55555555abcg", NULL },
		{ "URI:virtx:host:" HOST ",URI:virtx:host:" HOST, NULL },
		{ "URI:virtx:host:x,URI:virtx:host:" HOST, NULL },
		{ "URI:virtx:host:" HOST ",URI:virtx:user:alice", NULL },
		{ "URI:virtx:user:alice,URI:virtx:host:" HOST, NULL },
		{ "URI:virtx:host:" HOST ",URI:virtx:", NULL },
		{ "URI:virtx:user:" HOST, NULL },
		{ "URI:VIRTX:host:" HOST, NULL },
		{ "DNS:virtx:host:" HOST, NULL },
		{ "email:virtx:host:" HOST, NULL },
	};
	char host[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		X509 *certificate = make(*state, cases[i].san, 10);

		if (certificate_host(certificate, host) != (cases[i].host != NULL))
			fail_msg("'%s' gives '%s'", cases[i].san, host);
		assert_true(str_equal(host, cases[i].host));
		X509_free(certificate);
	}
}

/* One with these bytes for SANs that are URIs; NULL ends them. */
static X509 *
with_uris(const char *const *uris, const size_t *lens)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	X509 *certificate = X509_new();

	for (; *uris; uris++, lens++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *uri = ASN1_IA5STRING_new();

		assert_int_equal(ASN1_STRING_set(uri, *uris, (int)*lens), 1);
		GENERAL_NAME_set0_value(name, GEN_URI, uri);
		sk_GENERAL_NAME_push(names, name);
	}
	assert_int_equal(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
	return certificate;
}

#define NAME_48 "a23456789-b23456789-c23456789-d23456789-e2345678"

static void
test_user(void **state)
{
	static const struct {
		const char *first, *second, *user;
	} cases[] = {
		{ "virtx:user:alice", NULL, "alice" },
		{ "virtx:user:alice", "https://alice/", "alice" },
		{ "https://alice/", "virtx:user:0", "0" },
		{ "virtx:user:" NAME_48, NULL, NAME_48 },
		{ "virtx:user:" NAME_48 "9", NULL, NULL },
		{ "virtx:user:" NAME_48 NAME_48 NAME_48, NULL, NULL },
		{ "virtx:user:", NULL, NULL },
		{ "virtx:user", NULL, NULL },
		{ "virtx:", NULL, NULL },
		{ "Virtx:user:alice", NULL, NULL },
		{ "virtx:User:alice", NULL, NULL },
		{ "virtx:user:.", NULL, NULL },
		{ "virtx:user:../a", NULL, NULL },
		{ "virtx:user:a/b", NULL, NULL },
		{ "virtx:user:a b", NULL, NULL },
		{ "virtx:user:a\nb", NULL, NULL },
		{ "virtx:user:\xc3\xa4", NULL, NULL },
		{ "virtx:user:alice?role=admin", NULL, NULL },
		{ "virtx:user:alice%00", NULL, NULL },
		{ "virtx:user:alice", "virtx:user:alice", NULL },
		{ "virtx:user:alice", "virtx:user:bob", NULL },
		{ "virtx:user:alice", "virtx:qemu:x", NULL },
		{ "virtx:user:alice", "virtx:user:" NAME_48 NAME_48, NULL },
		{ "virtx:user:alice", "virtx:host:" HOST, NULL },
		{ "virtx:host:" HOST, "virtx:user:alice", NULL },
		{ "virtx:host:" HOST, NULL, NULL },
	};
	char user[TOKEN_NAME_MAX + 1], host[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const uris[] = { cases[i].first, cases[i].second, NULL };
		const size_t lens[] = { strlen(uris[0]), uris[1] ? strlen(uris[1]) : 0 };
		X509 *certificate = with_uris(uris, lens);

		if (certificate_user(certificate, user) != (cases[i].user != NULL))
			fail_msg("'%s' gives '%s'", cases[i].first, user);
		assert_true(str_equal(user, cases[i].user));
		assert_false(certificate_host(certificate, host) && uris[1]);
		X509_free(certificate);
	}
}

/* What a name ends with for one who reads C's strings, and does not for the CA. */
static void
test_nul(void **state)
{
	static const char user[] = "virtx:user:alice\0", middle[] = "virtx:user:al\0ice";
	static const char host[] = "virtx:host:" HOST "\0", prefix[] = "virtx:\0user:alice";
	static const struct {
		const char *uri;
		size_t len;
	} cases[] = { { user, sizeof(user) - 1 }, { middle, sizeof(middle) - 1 },
		{ host, sizeof(host) - 1 }, { prefix, sizeof(prefix) - 1 } };
	char name[TOKEN_NAME_MAX + 1], uuid[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const uris[] = { cases[i].uri, NULL };
		X509 *certificate = with_uris(uris, &cases[i].len);

		assert_false(certificate_user(certificate, name));
		assert_false(certificate_host(certificate, uuid));
		X509_free(certificate);
	}
}

/* Whatever is in it: never both, and only what can be a name. */
static void
test_random(void **state)
{
	static const char alphabet[] = "virtx:user:host:.-_/aZ09%?\n\x80";
	static const char *const starts[] = { "",
		"virtx:", "virtx:user:", "virtx:host:", ("virtx:host:" HOST), "virtx:user:alice" };
	unsigned int seed = 19, n_users = 0;

	for (int round = 0; round < 20000; round++) {
		char text[2][160], user[TOKEN_NAME_MAX + 1], host[UUID_TEXT_SIZE];
		const char *uris[3] = { NULL };
		size_t lens[2], n = 1 + (size_t)(rand_r(&seed) % 2);
		bool is_user, is_host;
		X509 *certificate;

		for (size_t i = 0; i < n; i++) {
			const char *start = starts[(size_t)rand_r(&seed) % ARRAY_SIZE(starts)];
			size_t more = (size_t)rand_r(&seed) % (rand_r(&seed) % 2 ? 4 : 100);

			lens[i] = strlen(start);
			memcpy(text[i], start, lens[i]);
			for (; more > 0; more--)
				text[i][lens[i]++] =
				    alphabet[(size_t)rand_r(&seed) % sizeof(alphabet)];
			uris[i] = text[i];
		}
		certificate = with_uris(uris, lens);
		is_user = certificate_user(certificate, user);
		is_host = certificate_host(certificate, host);
		assert_false(is_user && is_host);
		assert_int_equal(is_user, token_name_valid(user));
		assert_int_equal(is_host, strlen(host) == UUID_TEXT_SIZE - 1);
		n_users += is_user;
		X509_free(certificate);
	}
	assert_true(n_users > 100);
}

static void
test_name(void **state)
{
	X509 *certificate =
	    make(*state, "DNS:h1.example,DNS:*.wild.example,IP:10.0.0.1,IP:fd00::1", 10);

	assert_true(certificate_has_name(certificate, "h1.example"));
	assert_true(certificate_has_name(certificate, "H1.example"));
	assert_true(certificate_has_name(certificate, "a.wild.example"));
	assert_true(certificate_has_name(certificate, "10.0.0.1"));
	assert_true(certificate_has_name(certificate, "fd00:0::1"));
	assert_false(certificate_has_name(certificate, "h2.example"));
	assert_false(certificate_has_name(certificate, "example"));
	assert_false(certificate_has_name(certificate, "a.b.wild.example"));
	assert_false(certificate_has_name(certificate, "10.0.0.2"));
	X509_free(certificate);
}

static void
test_names(void **state)
{
	X509 *certificate =
	    make(*state, "DNS:h1.example,URI:virtx:host:" HOST ",IP:10.0.0.1,IP:fd00::1", 10);
	_free_ char *names = certificate_names(certificate), *none = NULL;

	assert_string_equal(names, "h1.example,10.0.0.1,fd00::1");
	X509_free(certificate);
	certificate = make(*state, NULL, 10);
	none = certificate_names(certificate);
	assert_string_equal(none, "");
	X509_free(certificate);
}

static void
test_end(void **state)
{
	X509 *certificate = make(*state, NULL, 10);
	int64_t left = certificate_end(certificate) - now_ms();

	assert_true(left > INT64_C(863990000) && left <= INT64_C(864001000));
	X509_free(certificate);
}

static int
make_files(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	*state = authority_new(folder, "ca");
	return 0;
}

static int
remove_files(void **state)
{
	_free_ char *command = xasprintf("rm -r '%s'", folder);

	authority_free(*state);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
