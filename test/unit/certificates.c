/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/serial.h"

#define DAY_S 86400L

struct authority {
	char *folder;
	EVP_PKEY *key;
	X509 *certificate;
	long serial;
	const char *numbered; /* see authority_number */
};

char *
authority_path(const struct authority *authority, const char *file)
{
	return xasprintf("%s/%s", authority->folder, file);
}

static void
must(bool done)
{
	if (!done)
		abort();
}

static FILE *
open_file(const struct authority *authority, const char *name, const char *suffix)
{
	_free_ char *file = xasprintf("%s%s", name, suffix);
	_free_ char *path = authority_path(authority, file);
	FILE *out = fopen(path, "w");

	must(out != NULL);
	return out;
}

static void
add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	must(extension && X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

static X509 *
make_certificate(struct authority *authority, EVP_PKEY *key, const char *name, long from, long to)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_NAME_new();

	must(certificate && subject);
	must(X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0));
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++authority->serial);
	if (authority->numbered)
		serial_set(certificate, authority->numbered);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), to);
	X509_set_subject_name(certificate, subject);
	X509_set_issuer_name(certificate,
	    authority->certificate ? X509_get_subject_name(authority->certificate) : subject);
	must(X509_set_pubkey(certificate, key));
	X509_NAME_free(subject);
	return certificate;
}

static void
write_certificate(const struct authority *authority, const char *name, X509 *certificate)
{
	FILE *out = open_file(authority, name, ".pem");

	must(PEM_write_X509(out, certificate) && fclose(out) == 0);
}

void
authority_number(struct authority *authority, const char *subject)
{
	authority->numbered = subject;
}

struct authority *
authority_new(const char *folder, const char *name)
{
	return authority_new_for(folder, name, 1000);
}

struct authority *
authority_new_for(const char *folder, const char *name, int days)
{
	struct authority *authority = xcalloc(1, sizeof(*authority));

	authority->folder = xstrdup(folder);
	authority->key = EVP_EC_gen("P-256");
	must(authority->key != NULL);
	authority->certificate =
	    make_certificate(authority, authority->key, name, -1000 * DAY_S, days * DAY_S);
	add_extension(authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
	must(X509_sign(authority->certificate, authority->key, EVP_sha256()) > 0);
	write_certificate(authority, name, authority->certificate);
	return authority;
}

void
authority_free(struct authority *authority)
{
	X509_free(authority->certificate);
	EVP_PKEY_free(authority->key);
	free(authority->folder);
	free(authority);
}

static void
sign(const struct authority *authority, const char *name, const char *san, const char *use,
    const char *passphrase, long from, long to)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate;
	FILE *out;

	must(key != NULL);
	certificate = make_certificate((struct authority *)authority, key, name, from, to);
	if (san)
		add_extension(certificate, NID_subject_alt_name, san);
	if (use)
		add_extension(certificate, NID_ext_key_usage, use);
	must(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
	write_certificate(authority, name, certificate);
	out = open_file(authority, name, ".key");
	must(PEM_write_PrivateKey(out, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
		 (void *)passphrase) &&
	     fclose(out) == 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void
authority_sign(
    const struct authority *authority, const char *name, const char *san, int from, int to)
{
	sign(authority, name, san, NULL, NULL, from * DAY_S, to * DAY_S);
}

void
authority_sign_briefly(
    const struct authority *authority, const char *name, const char *san, int seconds)
{
	sign(authority, name, san, NULL, NULL, -DAY_S, seconds);
}

void
authority_sign_for(
    const struct authority *authority, const char *name, const char *san, const char *use)
{
	sign(authority, name, san, use, NULL, -DAY_S, 365 * DAY_S);
}

void
authority_sign_secret(const struct authority *authority, const char *name, const char *passphrase)
{
	sign(authority, name, NULL, NULL, passphrase, -DAY_S, 365 * DAY_S);
}
