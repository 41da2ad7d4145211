/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys, certificates and requests as PEM text. */
#ifndef PROTO_PEM_H
#define PROTO_PEM_H

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>

#define _key_	  __attribute__((cleanup(pem_key_clear)))
#define _x509_	  __attribute__((cleanup(pem_x509_clear)))
#define _request_ __attribute__((cleanup(pem_request_clear)))
#define _bio_	  __attribute__((cleanup(pem_bio_clear)))

void pem_key_clear(EVP_PKEY **key);
void pem_x509_clear(X509 **certificate);
void pem_request_clear(X509_REQ **request);
void pem_bio_clear(BIO **bio);

/* To read the text (borrowed, NULL for none). */
BIO *pem_open(const char *text);
/* What was written to it, of which nothing stays there; the caller frees, or wipes. */
char *pem_take(BIO *bio);
/* For PEM that needs a passphrase: nobody is at a terminal. */
int pem_no_passphrase(char *buf, int size, int writing, void *arg);
/* The first of the text; NULL where it has none that can be read. */
EVP_PKEY *pem_key(const char *text);
X509 *pem_certificate(const char *text);
X509_REQ *pem_request(const char *text);
/* Whether there is one block, and nothing but space around it. */
bool pem_is_alone(const char *text);
/* OpenSSL's word on what has failed, and none is left for the next. */
const char *pem_error(void);

#endif
