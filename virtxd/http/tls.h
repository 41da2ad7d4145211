/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's certificate, and by what those of others are checked. TLS 1.2 and newer; a client may
 * have a certificate, and then it has to be one of the cluster's CA.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "proto/certificate.h"
#include "proto/error.h"
#include "state/config.h"

struct bufferevent;
struct evbuffer;
struct event_base;
struct ssl_st;
struct tls;
struct tokens;

/* For one connection to another host; outlives it. */
struct tls_peer {
	char host[UUID_TEXT_SIZE]; /* whom it has to be */
	char why[200];		   /* why it is not, "" where it is */
	int64_t checked;	   /* when its certificate was, monotonic ms */
	struct tls *tls;
};

/* Reads the files that config (borrowed) names; NULL with the reason. Each 15 s it looks whether
 * they were changed. */
struct tls *tls_new(struct event_base *base, const struct config *config, struct error *err);
void tls_free(struct tls *tls);
/* By these (borrowed) it is known which hosts were put out, and let in again. */
void tls_set_tokens(struct tls *tls, const struct tokens *tokens);
/* Reads the files again; where they are no good, what was read before stays, and it is logged. */
void tls_reload(struct tls *tls);

/* A connection that comes in; NULL never. */
struct ssl_st *tls_accept(struct tls *tls);
/* The bufferevent of a connection to another host. */
struct bufferevent *tls_connect(
    struct tls *tls, struct event_base *base, const char *host, struct tls_peer *peer);
/* Whether such a connection was checked by what counts now. */
bool tls_is_current(const struct tls *tls, struct bufferevent *bev);
/* Why such a connection does not stand: from the check of the certificate, or else from OpenSSL; ""
 * where neither has a word on it. */
const char *tls_why(struct bufferevent *bev, struct tls_peer *peer);
/* The tls_peer of this connection is about to go. */
void tls_forget(struct ssl_st *ssl);
/* Sends at once what is in the output of a connection whose handshake is over, up to about max
 * bytes, head and body in one record where they fit. What is left, the loop sends, or finds out why
 * nothing leaves. */
void tls_write(struct ssl_st *ssl, struct evbuffer *output, size_t max);
/* Tells the other side that nothing more comes, as it must tell that from a cut; before the
 * connection is closed. */
void tls_end(struct ssl_st *ssl);

/* The uuid of the host whose certificate the client of a connection that came in has shown; false
 * where it has shown none, that of something else, or one that is no good any more: it has ended,
 * or the CA is another by now. */
bool tls_client_host(const struct tls *tls, struct ssl_st *ssl, char ret[UUID_TEXT_SIZE]);
/* Likewise that of a user: the name in it, and its fingerprint. */
bool tls_client_user(const struct tls *tls, struct ssl_st *ssl, char name[TOKEN_NAME_MAX + 1],
    char print[CERTIFICATE_PRINT_SIZE]);

/* The names and addresses of the certificate that such a client has shown, with commas between, ""
 * for none; the caller frees. */
char *tls_client_names(struct ssl_st *ssl);
/* From when on that is good, ms since the epoch; 0 for none. */
int64_t tls_client_begin(struct ssl_st *ssl);
/* Whether that was signed before the host had been let in again so often. */
bool tls_client_is_before(struct ssl_st *ssl, const char *host, int again);

/* When this host's certificate ends, or one of its CA's by which others check it; ms since the
 * epoch. */
int64_t tls_end_of_certificate(const struct tls *tls);
/* What is wrong with it, or will be within 30 days; self is this host's uuid, "" while that is not
 * known. "" where nothing is, else allocated in any case: the caller frees. */
char *tls_warning(const struct tls *tls, const char *self);

#endif
