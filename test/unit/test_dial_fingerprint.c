/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server whose CA is known by its fingerprint alone, over TLS. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "certificates.h"
#include "proto/pki.h"
#include "scratch.h"
#include "virtx/client.h"

#define HOST "URI:virtx:host:11111111-2222-3333-4444-555555555555"

/* It takes one connection, and answers nothing. */
struct tls_server {
	SSL_CTX *ctx;
	int fd;
	uint16_t port;
	pthread_t thread;
};

static void *
serve(void *arg)
{
	struct tls_server *server = arg;
	_close_ int fd = accept(server->fd, NULL, NULL);
	SSL *ssl = SSL_new(server->ctx);

	assert_non_null(ssl);
	SSL_set_fd(ssl, fd);
	(void)SSL_accept(ssl);
	SSL_free(ssl);
	return NULL;
}

/* Its certificate is NAME.pem, with the CA's behind it. */
static void
server_start(struct tls_server *server, const struct authority *ca, const char *name)
{
	_free_ char *pem = xasprintf("%s.pem", name), *key = xasprintf("%s.key", name);
	_free_ char *own = authority_path(ca, pem), *own_key = authority_path(ca, key);
	_free_ char *above = authority_path(ca, "ca.pem");
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	BIO *file = BIO_new_file(above, "r");
	X509 *certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);

	BIO_free(file);
	assert_non_null(certificate);
	server->ctx = SSL_CTX_new(TLS_server_method());
	assert_non_null(server->ctx);
	assert_int_equal(SSL_CTX_use_certificate_file(server->ctx, own, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(server->ctx, own_key, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_add_extra_chain_cert(server->ctx, certificate), 1);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(server->fd, 1), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&in, &len), 0);
	server->port = ntohs(in.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* What somebody is told who asks it. */
static void
ask(const struct authority *ca, const char *name, const char *fingerprint, struct error *err)
{
	struct tls_server server = { 0 };
	struct client client = { .timeout = 10 };
	struct answer answer = { 0 };

	server_start(&server, ca, name);
	client.server = (struct server){ .host = (char *)"127.0.0.1",
		.port = server.port,
		.tls = true,
		.fingerprint = fingerprint };
	assert_int_equal(client_call(&client, ROUTE_HEALTHZ, NULL, NULL, &answer, err), -1);
	pthread_join(server.thread, NULL);
	close(server.fd);
	SSL_CTX_free(server.ctx);
}

static void
test_fingerprint(void **state)
{
	static const struct {
		const char *san;
		int from, to;	   /* days */
		const char *words; /* NULL: nothing is wrong with it */
	} rows[] = {
		{ HOST ",IP:127.0.0.1", -1, 9, NULL },
		{ HOST, -1, 9,
		    "it is that of host '11111111-2222-3333-4444-555555555555', and not" },
		{ HOST ",IP:127.0.0.2,DNS:h1", -1, 9, "and not for '127.0.0.1'" },
		{ HOST, 2, 9, "it is not valid yet, by this host's clock, which says 20" },
		{ HOST, -9, -2, "it has expired, by this host's clock, which says 20" },
		{ "DNS:h1", -1, 9, "it is none that the CA has signed for a host" },
	};
	struct authority *ca = authority_new(*state, "ca");
	char print[PKI_FINGERPRINT_SIZE], other[PKI_FINGERPRINT_SIZE];
	_free_ char *path = authority_path(ca, "ca.pem");
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_buffer_ struct buffer text = { 0 };
	struct error err = { 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(read_all(fd, &text, PKI_PEM_MAX), 0);
	assert_int_equal(pki_fingerprint(text.data, print, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		authority_sign(ca, "host", rows[i].san, rows[i].from, rows[i].to);
		ask(ca, "host", print, &err);
		if (!strstr(err.detail, rows[i].words ? rows[i].words : "127.0.0.1") ||
		    (!rows[i].words && strstr(err.detail, "refused")))
			fail_msg("%zu: %s", i, err.detail);
	}
	memset(other, '0', sizeof(other) - 1);
	other[sizeof(other) - 1] = '\0';
	ask(ca, "host", other, &err);
	assert_non_null(strstr(err.detail, "it is not of the CA with the fingerprint 0000"));
	authority_free(ca);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fingerprint, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
