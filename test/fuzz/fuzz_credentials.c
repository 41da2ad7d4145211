/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What others hand over as credentials: requests, certificates, sealed keys, tokens to join by, and
 * what a host says of who asks. */
#include <stdint.h>
#include <string.h>

#include "proto/ca_key.h"
#include "proto/cluster.h"
#include "proto/model.h"
#include "proto/pki.h"
#include "state/caller.h"

#define HOST "11111111-2222-4333-8444-555555555555"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *ca, *ca_key, *key; /* nobody else has them */

static void
setup(void)
{
	struct error err;

	ca_key = pki_key_new();
	key = pki_key_new();
	ca = pki_ca_new(ca_key, "fuzz", &err);
	if (!ca)
		abort();
}

static void
expect_reason(const struct error *err)
{
	if (!err->status || !err->detail[0])
		abort();
}

/* Only what it asks for is signed, and for this host. */
static void
try_request(const char *text)
{
	struct error err = { 0 };
	_free_ char *names = pki_request_names(text, &err);
	_free_ char *certificate = NULL;
	char host[UUID_TEXT_SIZE];

	if (!names)
		expect_reason(&err);
	err = (struct error){ 0 };
	certificate = pki_sign(ca, ca_key, text, PKI_HOST, HOST, 1, &err);
	if (!certificate)
		expect_reason(&err);
	else if (!names || !pki_host(certificate, host) || strcmp(host, HOST) != 0 ||
		 !pki_is_signed(certificate, ca))
		abort();
}

/* None is taken for one of this CA. */
static void
try_certificate(const char *text)
{
	char print[PKI_FINGERPRINT_SIZE], host[UUID_TEXT_SIZE];
	_free_ char *about = pki_about(text), *again = NULL, *name = NULL;
	struct error err = { 0 };
	int64_t length;
	bool alone;

	if (!pki_refusal(text, ca) || pki_is_signed(text, ca) ||
	    pki_matches(text, key, ca, PKI_HOST, HOST))
		abort();
	if ((pki_fingerprint(text, print, &err) == 0) != (about != NULL))
		abort();
	if (pki_host(text, host) && strlen(host) != UUID_TEXT_SIZE - 1)
		abort();
	(void)pki_end(text, &length);
	name = pki_common_name(text, &alone);
	again = pki_request_again(key, text, &err);
}

/* No key of this CA is in what somebody else has made. */
static void
try_sealed(const char *text)
{
	struct error err = { 0 };

	if (ca_key_open(text, key, ca, &err))
		abort();
	expect_reason(&err);
}

static void
try_token(const char *text)
{
	struct cluster_token token = { 0 }, again = { 0 };
	struct error err = { 0 };
	char *whole;

	if (cluster_token_parse(text, &token, &err) < 0) {
		expect_reason(&err);
	} else {
		const char *at = token.addresses;
		char *address;
		uint16_t port;

		while (*at && (address = cluster_next_address(&at, &port)))
			free(address);
		whole = cluster_token_text(&token);
		if (cluster_token_parse(whole, &again, &err) < 0 ||
		    !str_equal(token.secret, again.secret) ||
		    !str_equal(token.addresses, again.addresses))
			abort();
		pki_wipe(whole);
	}
	model_clear(&cluster_token_model, &token);
	model_clear(&cluster_token_model, &again);
}

static void
try_caller(const char *text)
{
	char written[CALLER_TEXT_SIZE], once_more[CALLER_TEXT_SIZE];
	struct caller caller = { 0 }, again = { 0 };
	struct error err = { 0 };

	if (caller_read(text, &caller, &err) < 0) {
		if (err.status != 400)
			abort();
		return;
	}
	/* Who asks for others is given no more than an admin may. */
	if (caller.role > ROLE_ADMIN)
		abort();
	caller_write(&caller, written);
	if (caller_read(written, &again, &err) < 0)
		abort();
	caller_write(&again, once_more);
	if (strcmp(written, once_more) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(
	    const char *text) = { try_request, try_certificate, try_sealed, try_token, try_caller };
	_free_ char *text = NULL;

	if (size == 0 || size > PKI_PEM_MAX)
		return 0;
	if (!ca)
		setup();
	text = xstrndup((const char *)data + 1, size - 1);
	kinds[data[0] % ARRAY_SIZE(kinds)](text);
	return 0;
}
