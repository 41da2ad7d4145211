/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/ca_key.h"

#include <openssl/err.h>
#include <string.h>

#include "proto/pem.h"
#include "proto/pki.h"

/* What it has for PEM it declares behind that. */
#include <openssl/cms.h>

char *
ca_key_seal(const char *ca_key, const char *certificate_text, struct error *err)
{
	_x509_ X509 *certificate = pem_certificate(certificate_text);
	_bio_ BIO *in = pem_open(ca_key), *out = BIO_new(BIO_s_mem());
	STACK_OF(X509) *owners = sk_X509_new_null();
	CMS_ContentInfo *cms = NULL;
	bool done;

	if (!out || !owners)
		abort();
	if (certificate && sk_X509_push(owners, certificate) > 0)
		cms = CMS_encrypt(owners, in, EVP_aes_256_gcm(), CMS_BINARY);
	done = cms && PEM_write_bio_CMS(out, cms) == 1;
	CMS_ContentInfo_free(cms);
	sk_X509_free(owners);
	if (done)
		return pem_take(out);
	error_set(err, 500, "cannot seal the CA's key for another host: %s",
	    certificate ? pem_error() : "its certificate is none");
	return NULL;
}

/* What is in it; NULL where it does not open. */
static char *
open_sealed(const char *sealed, EVP_PKEY *key)
{
	_bio_ BIO *in = pem_open(sealed), *out = BIO_new(BIO_s_secmem());
	CMS_ContentInfo *cms = NULL;
	char *text = NULL;

	if (!out)
		abort();
	if (strlen(sealed) <= PKI_PEM_MAX)
		cms = PEM_read_bio_CMS(in, NULL, pem_no_passphrase, NULL);
	if (cms && CMS_decrypt(cms, key, NULL, NULL, out, CMS_BINARY) == 1)
		text = pem_take(out);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return text;
}

char *
ca_key_open(const char *sealed, const char *key_text, const char *ca_text, struct error *err)
{
	_key_ EVP_PKEY *key = pem_key(key_text), *ca_key = NULL;
	_x509_ X509 *ca = pem_certificate(ca_text);
	char *text = key ? open_sealed(sealed, key) : NULL;

	if (text)
		ca_key = pem_key(text);
	if (ca && ca_key && X509_check_private_key(ca, ca_key) == 1)
		return text;
	ERR_clear_error();
	error_set(err, 500, "the CA's key %s",
	    text ? "that was sent is not that of the CA" : "was not sealed for this host");
	pki_wipe(text);
	return NULL;
}
