/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/crl.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proto/pem.h"
#include "proto/serial.h"

/* Of certificates that have not ended. */
#define SPANS 3
static_assert(2 * SERIAL_PERIOD_DAYS > PKI_CERTIFICATE_DAYS, "a certificate spans three periods");
/* Signed for one more before and two after, a CRL does for a year, whatever the clocks of who
 * signs certificates and who signs CRLs differ by. */
#define BEFORE	  3
#define AFTER	  2
#define PERIODS	  (BEFORE + 1 + AFTER)
#define KINDS	  2 /* of certificates of a host */
#define _crl_	  __attribute__((cleanup(crl_clear)))
#define _integer_ __attribute__((cleanup(integer_clear)))

static void
crl_clear(X509_CRL **crl)
{
	X509_CRL_free(*crl);
}

static void
integer_clear(ASN1_INTEGER **number)
{
	ASN1_INTEGER_free(*number);
}

static X509_CRL *
parse(const char *text)
{
	_bio_ BIO *bio = pem_open(text);
	X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, pem_no_passphrase, NULL);

	ERR_clear_error();
	return crl;
}

static char *
crl_text(X509_CRL *crl)
{
	_bio_ BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_X509_CRL(bio, crl) != 1)
		abort();
	return pem_take(bio);
}

/* Signing */

static void
add_one(X509_CRL *crl, enum pki_kind kind, const char *host, int64_t period)
{
	_free_ char *subject = pki_subject(kind, host);
	_integer_ ASN1_INTEGER *number = serial_number(subject, period);
	X509_REVOKED *revoked = X509_REVOKED_new();

	if (!revoked || X509_REVOKED_set_serialNumber(revoked, number) != 1 ||
	    X509_REVOKED_set_revocationDate(revoked, (ASN1_TIME *)X509_CRL_get0_lastUpdate(crl)) !=
		1 ||
	    X509_CRL_add0_revoked(crl, revoked) != 1)
		abort();
}

/* Who finds one by its key, and the number that each has. */
static void
add_extensions(X509_CRL *crl, X509 *ca, int64_t before)
{
	_integer_ ASN1_INTEGER *number = ASN1_INTEGER_new();
	/* Clocks differ, and it is to be later than what others have signed. */
	int64_t now = now_ms(), next = before < now	    ? now
				       : before < INT64_MAX ? before + 1
							    : before;
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid,issuer");
	if (!extension || X509_CRL_add_ext(crl, extension, -1) != 1 || !number ||
	    ASN1_INTEGER_set_int64(number, next) != 1 ||
	    X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) != 1)
		abort();
	X509_EXTENSION_free(extension);
}

static X509_CRL *
make(X509 *ca, const char *const *hosts, size_t n_hosts, int64_t before)
{
	X509_CRL *crl = X509_CRL_new();
	int64_t now = serial_period_now();

	/* As good as the CA: by one of a time to come, or that is over, libvirt and QEMU would take
	 * nobody at all, where the clock of who has signed it is ahead of theirs. */
	if (!crl || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
	    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) != 1 ||
	    X509_CRL_set1_lastUpdate(crl, X509_get0_notBefore(ca)) != 1 ||
	    X509_CRL_set1_nextUpdate(crl, X509_get0_notAfter(ca)) != 1)
		abort();
	for (size_t i = 0; i < n_hosts; i++) {
		for (int64_t period = now - BEFORE; period <= now + AFTER; period++) {
			add_one(crl, PKI_HOST, hosts[i], period);
			add_one(crl, PKI_QEMU, hosts[i], period);
		}
	}
	X509_CRL_sort(crl);
	add_extensions(crl, ca, before);
	return crl;
}

char *
crl_sign(const char *ca_text, const char *ca_key_text, const char *const *hosts, size_t n_hosts,
    int64_t before, struct error *err)
{
	_x509_ X509 *ca = pem_certificate(ca_text);
	_key_ EVP_PKEY *key = pem_key(ca_key_text);
	_crl_ X509_CRL *crl = NULL;

	if (!ca || !key || X509_check_private_key(ca, key) != 1) {
		ERR_clear_error();
		error_set(err, 500, "the CA's certificate and key are not of one another");
		return NULL;
	}
	crl = make(ca, hosts, n_hosts, before);
	if (X509_CRL_sign(crl, key, EVP_sha256()) <= 0) {
		error_set(err, 500, "cannot sign a CRL: %s", pem_error());
		return NULL;
	}
	return crl_text(crl);
}

/* What is in one */

char *
crl_take(const char *text, const char *ca_text)
{
	_crl_ X509_CRL *crl = parse(text);
	_x509_ X509 *ca = pem_certificate(ca_text);
	bool is_signed = crl && ca &&
			 X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
			 X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;

	ERR_clear_error();
	return is_signed ? crl_text(crl) : NULL;
}

int64_t
crl_number(const char *text)
{
	_crl_ X509_CRL *crl = text ? parse(text) : NULL;
	_integer_ ASN1_INTEGER *number =
	    crl ? X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL) : NULL;
	int64_t value = 0;

	if (!number || ASN1_INTEGER_get_int64(&value, number) != 1 || value < 0)
		value = 0;
	ERR_clear_error();
	return value;
}

/* All certificates of the subject that have not ended. */
static bool
has_subject(X509_CRL *crl, const char *subject)
{
	int64_t now = serial_period_now();

	for (int64_t period = now - SPANS + 1; period <= now; period++) {
		_integer_ ASN1_INTEGER *number = serial_number(subject, period);
		X509_REVOKED *found;

		if (X509_CRL_get0_by_serial(crl, &found, number) != 1)
			return false;
	}
	return true;
}

static bool
has(X509_CRL *crl, const char *host)
{
	_free_ char *own = pki_subject(PKI_HOST, host), *qemu = pki_subject(PKI_QEMU, host);

	return has_subject(crl, own) && has_subject(crl, qemu);
}

bool
crl_is_for(const char *text, const char *const *hosts, size_t n_hosts)
{
	_crl_ X509_CRL *crl = parse(text);
	/* Of one with nothing in it there is no list. */
	int n = crl ? sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) : 0;
	bool is_for = crl && (n < 0 ? 0 : (size_t)n) == n_hosts * PERIODS * KINDS;

	for (size_t i = 0; i < n_hosts && is_for; i++)
		is_for = has(crl, hosts[i]);
	return is_for;
}

static bool
is_numbered(const ASN1_INTEGER *number, const char *subject)
{
	int64_t now = serial_period_now();

	for (int64_t period = now - BEFORE; period <= now + AFTER; period++) {
		_integer_ ASN1_INTEGER *one = serial_number(subject, period);

		if (ASN1_INTEGER_cmp(one, number) == 0)
			return true;
	}
	return false;
}

bool
crl_is_before(const X509 *certificate, const char *host, int again)
{
	const ASN1_INTEGER *number = X509_get0_serialNumber(certificate);
	bool is_before = false;

	for (int i = 0; i < again && !is_before; i++) {
		_free_ char *numbered = i ? xasprintf("%s#%d", host, i) : xstrdup(host);
		_free_ char *subject = pki_subject(PKI_HOST, numbered);

		is_before = is_numbered(number, subject);
	}
	return is_before;
}

bool
crl_has(const char *text, const char *host)
{
	_crl_ X509_CRL *crl = parse(text);

	return crl && has(crl, host);
}
