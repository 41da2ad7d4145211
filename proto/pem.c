/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/pem.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

void
pem_key_clear(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

void
pem_x509_clear(X509 **certificate)
{
	X509_free(*certificate);
}

void
pem_request_clear(X509_REQ **request)
{
	X509_REQ_free(*request);
}

void
pem_bio_clear(BIO **bio)
{
	BIO_free(*bio);
}

const char *
pem_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return reason ? reason : "unknown error";
}

BIO *
pem_open(const char *text)
{
	BIO *bio = BIO_new_mem_buf(str_or_empty(text), -1);

	if (!bio)
		abort();
	return bio;
}

char *
pem_take(BIO *bio)
{
	char *data, *out;
	long len = BIO_get_mem_data(bio, &data);

	out = xmemdup(data, (size_t)len);
	OPENSSL_cleanse(data, (size_t)len);
	return out;
}

int
pem_no_passphrase(char *buf, int size, int writing, void *arg)
{
	return -1;
}

EVP_PKEY *
pem_key(const char *text)
{
	_bio_ BIO *bio = pem_open(text);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, pem_no_passphrase, NULL);

	ERR_clear_error();
	return key;
}

X509 *
pem_certificate(const char *text)
{
	_bio_ BIO *bio = pem_open(text);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL);

	ERR_clear_error();
	return certificate;
}

X509_REQ *
pem_request(const char *text)
{
	_bio_ BIO *bio = pem_open(text);
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, pem_no_passphrase, NULL);

	ERR_clear_error();
	return request;
}

bool
pem_is_alone(const char *text)
{
	static const char begin[] = "-----BEGIN ", end[] = "\n-----END ", dashes[] = "-----";
	static const char space[] = " \t\r\n";
	const char *at = text + strspn(text, space);

	if (strncmp(at, begin, strlen(begin)) != 0)
		return false;
	at = strstr(at, end);
	at = at ? strstr(at + strlen(end), dashes) : NULL;
	if (!at)
		return false;
	at += strlen(dashes);
	return at[strspn(at, space)] == '\0';
}
