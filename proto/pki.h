/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cluster's own CA: keys, requests and certificates, all as PEM text. Keys are P-256. What has
 * a key in it is to be freed by pki_wipe().
 */
#ifndef PROTO_PKI_H
#define PROTO_PKI_H

#include "proto/certificate.h"
#include "proto/error.h"

#define PKI_PEM_MAX	     16384 /* bytes of a request or a certificate */
#define PKI_NAMES_MAX	     16
#define PKI_FINGERPRINT_SIZE CERTIFICATE_PRINT_SIZE
#define PKI_SHOWN_SIZE	     96 /* of one for people */
#define PKI_CA_DAYS	     3650
#define PKI_CERTIFICATE_DAYS 365

/* What a certificate is for. Only that of a host has its SAN virtx:host:UUID: QEMU's, which a guest
 * that broke out could read, is nobody to other hosts, and to virtx no server. */
enum pki_kind {
	PKI_HOST,
	PKI_QEMU,
};

/* The subject (CN) of the certificate of a host with this normalised UUID; the caller frees. */
char *pki_subject(enum pki_kind kind, const char *uuid);
/* A new private key. */
char *pki_key_new(void);
/* Leaves nothing of it in memory. NULL is fine. */
void pki_wipe(char *secret);
/* A CA that signs itself with the key; NULL with the reason. */
char *pki_ca_new(const char *key, const char *name, struct error *err);
/* A request for these names and IP literals (at most PKI_NAMES_MAX); NULL with the reason. */
char *pki_request_new(const char *key, const char *const *names, size_t n_names, struct error *err);
/* The same for the names of the first certificate of the text. */
char *pki_request_again(const char *key, const char *text, struct error *err);
/* The names and IP literals that a request asks for, with commas between, "" for none; the caller
 * frees. NULL with a 400 where it is none, or asks for what is neither. */
char *pki_request_names(const char *text, struct error *err);
/* The certificate of a host for what its request has, the UUID, and behind it '#' and how often it
 * was let in again, where it was, from which the certificate's number follows: names and addresses
 * are the request's own, once they were checked, all else is said here. It ends after so many days,
 * or with that of the CA. NULL with the reason, a 400 where the request is no good. */
char *pki_sign(const char *ca, const char *ca_key, const char *request, enum pki_kind kind,
    const char *uuid, int days, struct error *err);

/* The certificate of a user, whose SAN is virtx:user:NAME, for so many seconds. It is for virtxd
 * alone: QEMU, which lets in whom the CA has signed, finds in it what it does not know. NULL as
 * above; of what the request asks for, only the key is taken. */
char *pki_sign_user(const char *ca, const char *ca_key, const char *request, const char *name,
    int64_t seconds, struct error *err);

/* The SHA-256 of the first certificate of the text. */
int pki_fingerprint(const char *text, char ret[PKI_FINGERPRINT_SIZE], struct error *err);
/* It as openssl(1) shows it: AA:BB:... */
void pki_fingerprint_show(const char fingerprint[PKI_FINGERPRINT_SIZE], char ret[PKI_SHOWN_SIZE]);
/* And what somebody writes, with the colons or without. */
bool pki_fingerprint_parse(const char *text, char ret[PKI_FINGERPRINT_SIZE]);
/* What the first certificate of the text is, in words for a log: its CN, names, end and serial
 * number. The caller frees; NULL where it is none. */
char *pki_about(const char *text);
/* Whether the certificate is one that the CA has signed for this key, and for the host. */
bool pki_matches(
    const char *certificate, const char *key, const char *ca, enum pki_kind kind, const char *uuid);
/* The host that the first certificate of the text is of; false where it is none of a host. */
bool pki_host(const char *text, char ret[UUID_TEXT_SIZE]);
/* Whether it is the certificate of one, and nothing else. */
bool pki_is_one(const char *text);
/* Whether others, who have no other CAs than those of that text, take the certificate, of a server
 * and of a client, as long as it lasts: NULL, or why not in OpenSSL's words, which stay. */
const char *pki_refusal(const char *text, const char *ca);
/* Whether the first certificate of the text is one that the CA has signed, or the CA's own. */
bool pki_is_signed(const char *certificate, const char *ca);
/* The CN of the certificate's subject, "" for none, and whether there is nothing else in that; the
 * caller frees. By it libvirt takes hosts. */
char *pki_common_name(const char *text, bool *ret_alone);
/* The certificates of the text, the first one's and behind it such as ca has, and what is between
 * them is left out: what a host shows. NULL where there is anything else; the caller frees. */
char *pki_chain(const char *text, const char *ca);
/* When the first certificate of the text ends, and how long it lasts in all; ms. 0 where it is
 * none. */
int64_t pki_end(const char *text, int64_t *ret_length);
/* Whether it is for all these names and IP literals. */
bool pki_has_names(const char *certificate, const char *const *names, size_t n_names);
/* Is it a name or an IP literal that a certificate may be for? */
bool pki_name_valid(const char *name);
/* Is it a name that one host of several may have: no IP literal, and not localhost? */
bool pki_host_name_valid(const char *name);

#endif
