/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom a certificate is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
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
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
