/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "http/tls_sessions.h"
#include "loop/timer.h"
#include "proto/certificate.h"
#include "proto/crl.h"
#include "proto/log.h"
#include "state/tokens.h"

#define LOOK_MS	      15000
#define DAY_MS	      INT64_C(86400000)
#define WARN_DAYS     30
#define RECORD	      16384 /* the most of one, bytes */
#define SESSION_S     600   /* that a client may resume */
#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS	      "P-256:X25519" /* no others, of which one takes many times as long */

enum { FILE_CERTIFICATE, FILE_KEY, FILE_CA, FILES };

/* What tells a file from what was there before. */
struct stamp {
	ino_t ino;
	struct timespec mtime;
	off_t size;
};

/* What was read together. */
struct material {
	SSL_CTX *server, *client;
	char host[UUID_TEXT_SIZE]; /* that the certificate is for, "" for none */
	int64_t end;		   /* when others will not take it any more, ms since the epoch */
	bool ends_with_ca;	   /* a certificate above it ends then, and it not yet */
	char fault[160];	   /* why others will not take it, "" for nothing */
};

struct tls {
	const struct config *config;
	struct material now;
	struct stamp stamps[FILES];
	struct timer *timer;
	struct tls_sessions *sessions;
	const struct tokens *tokens; /* NULL: there are none */
};

/* OpenSSL's last word, and no earlier one is left for the next. */
static const char *
last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return reason ? reason : "unknown error";
}

static void
material_clear(struct material *m)
{
	SSL_CTX_free(m->server);
	SSL_CTX_free(m->client);
	*m = (struct material){ 0 };
}

static const char *
path_of(const struct config *config, int file)
{
	return file == FILE_CERTIFICATE ? config->tls_certificate
	       : file == FILE_KEY	? config->tls_key
					: config->tls_ca;
}

static void
take_stamps(const struct config *config, struct stamp ret[FILES])
{
	for (int i = 0; i < FILES; i++) {
		struct stat st;

		ret[i] = (struct stamp){ 0 };
		if (stat(path_of(config, i), &st) == 0)
			ret[i] = (struct stamp){ st.st_ino, st.st_mtim, st.st_size };
	}
}

/* How often it was let in again, having been put out. */
static int
find_again(const struct tls *tls, const char *host)
{
	return tls->tokens ? tokens_again(tls->tokens, host) : 0;
}

/* The other host, after its chain has been checked. */
static int
on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_peer *peer = SSL_get_app_data(ssl);
	char host[UUID_TEXT_SIZE];
	X509 *certificate;

	if (!peer)
		return 0;
	if (!ok) {
		snprintf(peer->why, sizeof(peer->why), "its certificate is refused: %s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		return 1;
	certificate = X509_STORE_CTX_get_current_cert(store);
	if (!certificate_host(certificate, host))
		snprintf(peer->why, sizeof(peer->why),
		    "its certificate is for no host: it has no SAN virtx:host:UUID");
	else if (strcmp(host, peer->host) != 0)
		snprintf(peer->why, sizeof(peer->why), "its certificate is for another host, '%s'",
		    host);
	else if (crl_is_before(certificate, host, find_again(peer->tls, host)))
		snprintf(peer->why, sizeof(peer->why),
		    "its certificate is from before it was put out of the cluster");
	if (!peer->why[0]) {
		peer->checked = monotonic_ms();
		return 1;
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* A host that was asked before may be asked again without another check of its certificate, for a
 * while after the last one, and unless the CA is another by now. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_peer *peer = SSL_get_app_data(ssl);

	if (peer && SSL_get_SSL_CTX(ssl) == peer->tls->now.client)
		tls_sessions_keep(peer->tls->sessions, peer->host, session, peer->checked);
	return 0;
}

/* Nobody is at the terminal. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	bool *asked = arg;

	if (asked)
		*asked = true;
	return -1;
}

static int
use_files(SSL_CTX *ctx, const struct config *config, struct error *err)
{
	bool asked = false, used;

	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, config->tls_certificate) != 1)
		return error_set(err, 500, "cannot use the certificate of '%s': %s",
		    config->tls_certificate, last_error());
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
	used = SSL_CTX_use_PrivateKey_file(ctx, config->tls_key, SSL_FILETYPE_PEM) == 1;
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (!used)
		return error_set(err, 500, "cannot use the key of '%s': %s", config->tls_key,
		    asked ? "it has a passphrase, and nobody can be asked for it" : last_error());
	if (SSL_CTX_load_verify_file(ctx, config->tls_ca) != 1)
		return error_set(err, 500, "cannot use the CA's certificates of '%s': %s",
		    config->tls_ca, last_error());
	return 0;
}

static SSL_CTX *
new_context(const struct config *config, const SSL_METHOD *method, struct error *err)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		abort();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12);
	SSL_CTX_set1_groups_list(ctx, GROUPS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	/* Else one call would go on for as long as the other side sends what is no data, such as
	 * updates of its key, and nothing else would run. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_timeout(ctx, SESSION_S);
	if (use_files(ctx, config, err) == 0)
		return ctx;
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

/* The first end in the chain by which others check the certificate. */
static void
find_end(struct material *m, X509_STORE_CTX *store)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t end = certificate_end(sk_X509_value(chain, i));

		if (end >= m->end)
			continue;
		m->end = end;
		m->ends_with_ca = true;
	}
}

/* Whether others who have the same CA will take this host's certificate: hosts and clients that ask
 * it, and hosts that it asks. */
static void
check_chain(struct material *m)
{
	static const struct {
		int purpose;
		const char *as;
	} uses[] = {
		{ X509_PURPOSE_SSL_SERVER, "a server" },
		{ X509_PURPOSE_SSL_CLIENT, "a client" },
	};
	X509 *certificate = SSL_CTX_get0_certificate(m->server);
	STACK_OF(X509) *chain = NULL;

	m->end = certificate_end(certificate);
	SSL_CTX_get0_chain_certs(m->server, &chain);
	for (size_t i = 0; i < ARRAY_SIZE(uses) && !m->fault[0]; i++) {
		X509_STORE_CTX *store = X509_STORE_CTX_new();

		if (!store || !X509_STORE_CTX_init(
				  store, SSL_CTX_get_cert_store(m->server), certificate, chain))
			abort();
		X509_STORE_CTX_set_purpose(store, uses[i].purpose);
		if (X509_verify_cert(store) != 1)
			snprintf(m->fault, sizeof(m->fault), "as that of %s: %s", uses[i].as,
			    X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
		else
			find_end(m, store);
		X509_STORE_CTX_free(store);
	}
	ERR_clear_error();
	(void)certificate_host(certificate, m->host);
}

static int
read_material(const struct config *config, struct material *ret, struct error *err)
{
	static const unsigned char context[] = "virtx";
	struct material m = { 0 };

	m.server = new_context(config, TLS_server_method(), err);
	if (!m.server)
		return -1;
	m.client = new_context(config, TLS_client_method(), err);
	if (!m.client) {
		material_clear(&m);
		return -1;
	}
	SSL_CTX_set_verify(m.server, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_id_context(m.server, context, sizeof(context) - 1);
	/* A client that has several certificates learns which is asked for. */
	SSL_CTX_set_client_CA_list(m.server, SSL_load_client_CA_file(config->tls_ca));
	SSL_CTX_set_num_tickets(m.server, 1);
	/* Who resumes brings a ticket: else each who takes none would leave a session here. */
	SSL_CTX_set_session_cache_mode(m.server, SSL_SESS_CACHE_OFF);
	/* The connections to other hosts are few, and are asked again and again. */
	SSL_CTX_clear_mode(m.client, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(m.client, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_session_cache_mode(
	    m.client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(m.client, on_session);
	check_chain(&m);
	*ret = m;
	return 0;
}

void
tls_reload(struct tls *tls)
{
	struct material fresh;
	struct error err = { 0 };
	int r;

	/* Before they are read: what is written meanwhile is read again. */
	take_stamps(tls->config, tls->stamps);
	r = read_material(tls->config, &fresh, &err);
	if (r == 0 && fresh.fault[0]) {
		error_set(&err, 500, "'%s': others will not take it: %s",
		    tls->config->tls_certificate, fresh.fault);
		material_clear(&fresh);
		r = -1;
	}
	if (r < 0) {
		log_error("tls", "the certificate stays as it is: %s", err.detail);
		return;
	}
	material_clear(&tls->now);
	tls->now = fresh;
	tls_sessions_drop(tls->sessions);
	log_info("tls", "certificate and CA read again");
}

static void
on_look(void *arg)
{
	struct stamp stamps[FILES];
	struct tls *tls = arg;

	take_stamps(tls->config, stamps);
	for (int i = 0; i < FILES; i++) {
		if (stamps[i].ino != tls->stamps[i].ino || stamps[i].size != tls->stamps[i].size ||
		    stamps[i].mtime.tv_sec != tls->stamps[i].mtime.tv_sec ||
		    stamps[i].mtime.tv_nsec != tls->stamps[i].mtime.tv_nsec) {
			tls_reload(tls);
			return;
		}
	}
}

struct tls *
tls_new(struct event_base *base, const struct config *config, struct error *err)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));

	tls->config = config;
	take_stamps(config, tls->stamps);
	if (read_material(config, &tls->now, err) < 0) {
		free(tls);
		return NULL;
	}
	if (tls->now.fault[0])
		log_warning("tls", "'%s': others will not take it: %s", config->tls_certificate,
		    tls->now.fault);
	tls->sessions = tls_sessions_new();
	tls->timer = timer_new(base, on_look, tls);
	timer_every(tls->timer, LOOK_MS);
	return tls;
}

void
tls_free(struct tls *tls)
{
	if (!tls)
		return;
	timer_free(tls->timer);
	tls_sessions_free(tls->sessions);
	material_clear(&tls->now);
	free(tls);
}

void
tls_set_tokens(struct tls *tls, const struct tokens *tokens)
{
	tls->tokens = tokens;
}

SSL *
tls_accept(struct tls *tls)
{
	SSL *ssl = SSL_new(tls->now.server);

	if (!ssl)
		abort();
	return ssl;
}

struct bufferevent *
tls_connect(struct tls *tls, struct event_base *base, const char *host, struct tls_peer *peer)
{
	SSL *ssl = SSL_new(tls->now.client);
	struct bufferevent *bev;
	SSL_SESSION *session;

	if (!ssl)
		abort();
	*peer = (struct tls_peer){ .tls = tls };
	snprintf(peer->host, sizeof(peer->host), "%s", host);
	SSL_set_app_data(ssl, peer);
	/* Its certificate is not looked at by that. */
	session =
	    find_again(tls, host) ? NULL : tls_sessions_find(tls->sessions, host, &peer->checked);
	if (session)
		SSL_set_session(ssl, session);
	bev = bufferevent_openssl_socket_new(
	    base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		abort();
	return bev;
}

bool
tls_is_current(const struct tls *tls, struct bufferevent *bev)
{
	return SSL_get_SSL_CTX(bufferevent_openssl_get_ssl(bev)) == tls->now.client;
}

const char *
tls_why(struct bufferevent *bev, struct tls_peer *peer)
{
	unsigned long code = bufferevent_get_openssl_error(bev);
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (!peer->why[0] && reason)
		snprintf(peer->why, sizeof(peer->why), "TLS: %s", reason);
	return peer->why;
}

void
tls_forget(SSL *ssl)
{
	SSL_set_app_data(ssl, NULL);
}

/* What OpenSSL has begun to send and could not, the bufferevent gives it again, as it stays at the
 * front. */
void
tls_write(SSL *ssl, struct evbuffer *output, size_t max)
{
	size_t left = max, len;
	int n;

	while (left > 0 && (len = evbuffer_get_length(output)) > 0) {
		if (len > RECORD)
			len = RECORD;
		n = SSL_write(ssl, evbuffer_pullup(output, (ev_ssize_t)len), (int)len);
		if (n <= 0) {
			ERR_clear_error();
			return;
		}
		evbuffer_drain(output, (size_t)n);
		left -= (size_t)n < left ? (size_t)n : left;
	}
}

void
tls_end(SSL *ssl)
{
	if (!SSL_is_init_finished(ssl))
		return;
	(void)SSL_shutdown(ssl);
	ERR_clear_error();
}

/* Whether the CA that counts now answers for it, as one has that was read earlier. */
static bool
is_still_ours(const struct tls *tls, SSL *ssl, X509 *certificate)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	bool ours;

	if (!store || !X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(tls->now.server),
			  certificate, SSL_get_peer_cert_chain(ssl)))
		abort();
	X509_STORE_CTX_set_purpose(store, X509_PURPOSE_SSL_CLIENT);
	ours = X509_verify_cert(store) == 1;
	X509_STORE_CTX_free(store);
	ERR_clear_error();
	return ours;
}

/* What the client has shown, NULL where that is no good. A connection may outlive what its
 * handshake has found, and one that resumes a session takes that out of the ticket. */
static X509 *
client_certificate(const struct tls *tls, SSL *ssl)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK ||
	    X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0 ||
	    (SSL_get_SSL_CTX(ssl) != tls->now.server && !is_still_ours(tls, ssl, certificate)))
		return NULL;
	return certificate;
}

bool
tls_client_host(const struct tls *tls, SSL *ssl, char ret[UUID_TEXT_SIZE])
{
	X509 *certificate = client_certificate(tls, ssl);

	return certificate && certificate_host(certificate, ret);
}

bool
tls_client_user(const struct tls *tls, SSL *ssl, char name[TOKEN_NAME_MAX + 1],
    char print[CERTIFICATE_PRINT_SIZE])
{
	X509 *certificate = client_certificate(tls, ssl);

	if (!certificate || !certificate_user(certificate, name))
		return false;
	certificate_print(certificate, print);
	return true;
}

char *
tls_client_names(SSL *ssl)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	return certificate ? certificate_names(certificate) : xstrdup("");
}

int64_t
tls_client_begin(SSL *ssl)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	return certificate ? certificate_begin(certificate) : 0;
}

bool
tls_client_is_before(SSL *ssl, const char *host, int again)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	return certificate && crl_is_before(certificate, host, again);
}

int64_t
tls_end_of_certificate(const struct tls *tls)
{
	return tls->now.end;
}

char *
tls_warning(const struct tls *tls, const char *self)
{
	const struct material *m = &tls->now;
	const char *which = m->ends_with_ca ? "the CA's certificate" : "the certificate";
	int64_t left = m->end - now_ms();

	if (left <= 0)
		return xasprintf("%s has ended %lld days ago: others refuse this host's", which,
		    (long long)(-left / DAY_MS));
	if (m->fault[0])
		return xasprintf("others refuse the certificate: %s", m->fault);
	if (!m->host[0])
		return xstrdup("the certificate has no SAN virtx:host:UUID: other hosts refuse it");
	if (!str_empty(self) && !str_equal(self, m->host))
		return xasprintf(
		    "the certificate is for host '%s', not for this one: others refuse it",
		    m->host);
	if (left < WARN_DAYS * DAY_MS)
		return xasprintf("%s ends in %lld days", which, (long long)(left / DAY_MS));
	return xstrdup("");
}
