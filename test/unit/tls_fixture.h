/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server over TLS, certificates for it, and two kinds of clients: the one that other hosts
 * have, and one that does as the test likes. */
#ifndef TEST_TLS_FIXTURE_H
#define TEST_TLS_FIXTURE_H

#include <openssl/ssl.h>

#include "certificates.h"
#include "http/peer.h"
#include "http_fixture.h"

#define HOST  "11111111-2222-3333-4444-555555555555" /* the server */
#define OTHER "99999999-2222-3333-4444-555555555555" /* who asks it */
#define SAN   "URI:virtx:host:" HOST
#define GET   "GET /vms/" UUID "/runstate HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* The cluster's CA. */
extern struct authority *tls_ours;

/* Beside the fixture's server: a host that asks it. */
struct tls_fixture {
	struct fixture *f; /* borrowed */
	struct tls *server_tls;
	struct tls *client_tls;
	struct config client_config;
	struct peers *peers;
	enum guard_who member; /* what serf says of OTHER */
};

/* What a call came to. */
struct got {
	bool done;
	int status; /* 0: see err */
	char *body; /* to be freed by the test */
	struct error err;
};

/* A client that is not ours. The test frees bev. */
struct raw {
	struct bufferevent *bev;
	unsigned int answers; /* with status 200 */
	size_t bytes;
	bool ended, failed;
};

/* For a group of tests: CAs, and certificates by them, in a directory of their own. */
int tls_make_files(void **state);
int tls_remove_files(void **state);
/* Has config name these files: NAME.pem and NAME.key, and that of a CA. */
void tls_use_files(struct config *config, const char *certificate, const char *ca);
/* What config names must be fit for use. The caller frees. */
struct tls *tls_load(struct fixture *f, struct config *config);

/* Starts f's server anew with one certificate, and a host that asks with another, which trusts
 * ca. Who asks need not be known. */
void tls_start(struct tls_fixture *t, struct fixture *f, const char *server, const char *client,
    const char *ca);
/* As tls_start, but it has to be known who asks. */
void tls_start_guarded(struct tls_fixture *t, struct fixture *f, const char *server,
    const char *client, const char *ca);
/* f's server is a plain one again. */
void tls_stop(struct tls_fixture *t);

/* Asks f's server for path; its certificate has to be that of this host. */
void tls_ask(struct tls_fixture *t, const char *host, const char *path, struct got *got);
/* HOST must answer. */
void tls_ask_well(struct tls_fixture *t);
/* It must fail for a reason with these words, and no request reach the server. */
void tls_ask_in_vain(struct tls_fixture *t, const char *host, const char *words);
/* For requests that a test makes itself: the callback, whose arg is a got, and the wait for it. */
void tls_on_got(void *arg, const struct peer_answer *answer, const struct error *err);
void tls_wait_got(struct tls_fixture *t, const struct got *got);

/* Connects to f's server; ctx is the caller's. */
void raw_open(struct raw *raw, struct fixture *f, SSL_CTX *ctx);
/* As raw_open; resumes a session, which may be NULL, and which remains the caller's. */
void raw_resume(struct raw *raw, struct fixture *f, SSL_CTX *ctx, SSL_SESSION *session);
/* Waits until there have been n answers. */
void raw_wait_answers(struct fixture *f, struct raw *raw, unsigned int n);

#endif
