/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>

#include "proto/certificate.h"
#include "proto/util.h"

/* evhttp 2.1 knows TCP alone. It begins to connect to a port of loopback that is held here, so that
 * nobody listens there, and gets the UNIX socket before it learns how that went. */
static int
hold_port(int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0 || bind(*ret_fd, (struct sockaddr *)&in, len) < 0 ||
	    getsockname(*ret_fd, (struct sockaddr *)&in, &len) < 0)
		return -errno;
	*ret_port = ntohs(in.sin_port);
	return 0;
}

static const char *
last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return reason ? reason : "unknown error";
}

/* A host of the cluster may be asked by any address or name that leads to it: its CA signs hosts'
 * certificates for hosts alone. What the system trusts has to be for the name. */
static bool
is_for(struct dial *dial, X509 *certificate, bool own_ca)
{
	char host[UUID_TEXT_SIZE];

	/* It has the names of the host, and a guest that broke out of QEMU could serve by it. */
	if (certificate_is_qemu(certificate)) {
		snprintf(dial->why, sizeof(dial->why),
		    "its certificate is refused: it is that of a host's QEMU");
		return false;
	}
	if (certificate_has_name(certificate, dial->server->host) ||
	    (own_ca && certificate_host(certificate, host)))
		return true;
	snprintf(dial->why, sizeof(dial->why),
	    "its certificate is refused: it is neither for '%s' nor for a host of the cluster",
	    dial->server->host);
	return false;
}

static int
on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	struct dial *dial = SSL_get_app_data(ssl);
	const struct server *server = dial->server;

	if (!ok) {
		snprintf(dial->why, sizeof(dial->why), "its certificate is refused: %s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0 ||
	    is_for(dial, certificate, server->ca || server->ca_text))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static bool
has_fingerprint(X509 *certificate, const char *fingerprint)
{
	char print[CERTIFICATE_PRINT_SIZE];

	certificate_print(certificate, print);
	return strcmp(print, fingerprint) == 0;
}

/* The chain of the server up to this CA alone, and as a server: X509_V_OK, or what is wrong. */
static int
check_signed_by(X509 *ca, X509 *certificate, STACK_OF(X509) * chain)
{
	X509_STORE *anchors = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	int wrong = X509_V_OK;

	if (!anchors || !check || X509_STORE_add_cert(anchors, ca) != 1 ||
	    X509_STORE_CTX_init(check, anchors, certificate, chain) != 1)
		abort();
	X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_SERVER);
	if (X509_verify_cert(check) != 1)
		wrong = X509_STORE_CTX_get_error(check);
	X509_STORE_CTX_free(check);
	X509_STORE_free(anchors);
	return wrong;
}

/* A host that was just set up may not know the time yet: that is no attack. */
static void
tell_wrong(struct dial *dial, int wrong)
{
	bool early = wrong == X509_V_ERR_CERT_NOT_YET_VALID;
	time_t now = time(NULL);
	char clock[32] = "";
	struct tm tm;

	if (early || wrong == X509_V_ERR_CERT_HAS_EXPIRED) {
		if (gmtime_r(&now, &tm))
			strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S UTC", &tm);
		snprintf(dial->why, sizeof(dial->why),
		    "its certificate is refused: %s, by this host's clock, which says %s",
		    early ? "it is not valid yet" : "it has expired", clock);
	} else {
		snprintf(dial->why, sizeof(dial->why),
		    "its certificate is refused: it is none that the CA has signed for a host%s%s",
		    wrong ? ": " : "", wrong ? X509_verify_cert_error_string(wrong) : "");
	}
}

/* Who has no file with the CA knows it by its fingerprint: the server sends it behind its own
 * certificate. */
static int
on_verify_fingerprint(X509_STORE_CTX *store, void *arg)
{
	struct dial *dial = arg;
	X509 *certificate = X509_STORE_CTX_get0_cert(store), *ca = NULL;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	char host[UUID_TEXT_SIZE];
	int wrong = X509_V_OK;

	for (int i = 0; i < sk_X509_num(chain) && !ca; i++) {
		if (has_fingerprint(sk_X509_value(chain, i), dial->server->fingerprint))
			ca = sk_X509_value(chain, i);
	}
	if (ca)
		wrong = check_signed_by(ca, certificate, chain);
	if (!ca)
		snprintf(dial->why, sizeof(dial->why),
		    "its certificate is refused: it is not of the CA with the fingerprint %.16s...",
		    dial->server->fingerprint);
	else if (wrong || !certificate_host(certificate, host))
		tell_wrong(dial, wrong);
	/* Who has the key of one host must not pass for another: what it is sent may be worth more
	 * than that. */
	else if (!certificate_has_name(certificate, dial->server->host))
		snprintf(dial->why, sizeof(dial->why),
		    "its certificate is refused: it is that of host '%s', and not for '%s'", host,
		    dial->server->host);
	else
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static char *
certificate_text(X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	if (!bio || PEM_write_bio_X509(bio, certificate) != 1)
		abort();
	len = BIO_get_mem_data(bio, &data);
	text = xmemdup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

/* Whether the server could be trusted by what it sends itself, which becomes its CA. */
static bool
can_be_trusted(struct dial *dial, X509_STORE_CTX *store)
{
	X509 *certificate = X509_STORE_CTX_get0_cert(store), *ca = NULL;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	const char *wrong = "it does not send that of its CA, which --ca-file may name";
	int code;

	for (int i = 0; i < sk_X509_num(chain) && !ca; i++) {
		if (X509_self_signed(sk_X509_value(chain, i), 1) == 1)
			ca = sk_X509_value(chain, i);
	}
	code = ca ? check_signed_by(ca, certificate, chain) : X509_V_OK;
	if (code != X509_V_OK)
		wrong = X509_verify_cert_error_string(code);
	if (!ca || code != X509_V_OK) {
		snprintf(dial->why, sizeof(dial->why), "its certificate is refused: %s", wrong);
		return false;
	}
	dial->server->shown->ca = certificate_text(ca);
	return is_for(dial, certificate, true);
}

/* Whatever it is, the handshake ends here: nothing of a request is sent before that. */
static int
on_verify_shown(X509_STORE_CTX *store, void *arg)
{
	struct dial *dial = arg;
	bool known = X509_verify_cert(store) == 1, fit = can_be_trusted(dial, store);

	dial->server->shown->as = known ? SHOWN_KNOWN : fit ? SHOWN_CA : SHOWN_UNFIT;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static int
add_certificates(SSL_CTX *ctx, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *certificate;
	int n = 0;

	if (!bio)
		abort();
	/* With "" as the passphrase nobody is asked for one. */
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, (void *)""))) {
		n += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate);
		X509_free(certificate);
	}
	BIO_free(bio);
	return n > 0;
}

/* The CA's certificates, or its fingerprint. */
static int
use_ca(struct dial *dial, SSL_CTX *ctx)
{
	const struct server *server = dial->server;
	int done;

	if (server->fingerprint) {
		SSL_CTX_set_cert_verify_callback(ctx, on_verify_fingerprint, dial);
		return 0;
	}
	if (server->shown)
		SSL_CTX_set_cert_verify_callback(ctx, on_verify_shown, dial);
	if (server->ca_text)
		done = add_certificates(ctx, server->ca_text);
	else if (server->ca)
		done = SSL_CTX_load_verify_file(ctx, server->ca);
	else
		done = SSL_CTX_set_default_verify_paths(ctx);
	if (done == 1) {
		ERR_clear_error();
		return 0;
	}
	snprintf(dial->why, sizeof(dial->why), "cannot use the CA's certificates of '%s': %s",
	    server->ca_text ? "the context"
	    : server->ca    ? server->ca
			    : "the system",
	    last_error());
	return -1;
}

/* Nobody is asked for one, as the clock of the call is running. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	return -1;
}

static int
use_certificate(struct dial *dial, SSL_CTX *ctx)
{
	const struct server *server = dial->server;

	if (!server->certificate)
		return 0;
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, server->certificate) != 1)
		snprintf(dial->why, sizeof(dial->why), "cannot use the certificate of '%s': %s",
		    server->certificate, last_error());
	else if (SSL_CTX_use_PrivateKey_file(ctx, server->key, SSL_FILETYPE_PEM) != 1)
		snprintf(dial->why, sizeof(dial->why), "cannot use the key of '%s': %s",
		    server->key, last_error());
	else
		return 0;
	return -1;
}

/* NULL with why. */
static SSL *
open_tls(struct dial *dial)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	if (!ctx)
		abort();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* Else a server that sends no data, but updates of its key, would keep the deadline off. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
	if (use_ca(dial, ctx) == 0 && use_certificate(dial, ctx) == 0)
		ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (ssl) {
		SSL_set_app_data(ssl, dial);
		(void)SSL_set_tlsext_host_name(ssl, dial->server->host);
	}
	return ssl;
}

static struct evhttp_connection *
open_connection(struct dial *dial, struct event_base *base, const char *address, uint16_t port)
{
	struct bufferevent *bev;
	SSL *ssl;

	if (!dial->server->tls)
		return evhttp_connection_base_new(base, NULL, address, port);
	ssl = open_tls(dial);
	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(
	    base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		abort();
	return evhttp_connection_base_bufferevent_new(base, NULL, bev, address, port);
}

int
dial_open(
    struct dial *dial, struct event_base *base, const struct server *server, const char *address)
{
	uint16_t port = server->port;
	int rc = 0;

	*dial = (struct dial){ .socket = -1, .held = -1, .server = server };
	if (server->socket) {
		dial->socket = server_open_socket(server->socket);
		rc = dial->socket < 0 ? dial->socket : hold_port(&dial->held, &port);
	}
	if (rc < 0)
		return rc;
	dial->connection = open_connection(dial, base, address, port);
	return dial->connection ? 0 : -EPROTO;
}

void
dial_begun(struct dial *dial)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(dial->connection);
	int fd = bufferevent_getfd(bev), on = 1;

	/* Head and body are two records, and the second must not wait for an acknowledgement of the
	 * first. */
	if (dial->server->tls)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (dial->socket < 0)
		return;
	bufferevent_setfd(bev, steal_fd(&dial->socket));
	if (fd >= 0)
		close(fd);
}

void
dial_failed(struct dial *dial)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(dial->connection);
	unsigned long code = dial->server->tls ? bufferevent_get_openssl_error(bev) : 0;
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	/* The system's own errors are none of OpenSSL's. */
	if (reason && !dial->why[0])
		snprintf(dial->why, sizeof(dial->why), "TLS: %s", reason);
}

void
dial_close(struct dial *dial)
{
	if (dial->connection && dial->server->tls)
		(void)SSL_shutdown(bufferevent_openssl_get_ssl(
		    evhttp_connection_get_bufferevent(dial->connection)));
	if (dial->connection)
		evhttp_connection_free(dial->connection);
	if (dial->socket >= 0)
		close(dial->socket);
	if (dial->held >= 0)
		close(dial->held);
}
