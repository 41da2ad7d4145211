/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom the command line takes for a server, by its certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <string.h>

#include "certificates.h"
#include "scratch.h"
#include "virtx/dial.h"

#define HOST "11111111-2222-3333-4444-555555555555"

/* One side of a connection and the other, in one loop. */
struct fixture {
	struct event_base *base;
	struct authority *ours;
	SSL_CTX *ctx;
	uint16_t port;
	struct bufferevent *accepted;
	bool answered; /* the server was believed */
};

static void
on_read(struct bufferevent *bev, void *arg)
{
	static const char reply[] = "HTTP/1.1 204 No Content\r\n\r\n";

	bufferevent_write(bev, reply, strlen(reply));
}

static void
on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
	struct fixture *f = arg;

	f->accepted = bufferevent_openssl_socket_new(
	    f->base, fd, SSL_new(f->ctx), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(f->accepted, on_read, NULL, NULL, f);
	bufferevent_enable(f->accepted, EV_READ | EV_WRITE);
}

static struct evconnlistener *
listen_with(struct fixture *f, const char *name)
{
	_free_ char *pem = xasprintf("%s.pem", name), *key = xasprintf("%s.key", name);
	_free_ char *pem_path = authority_path(f->ours, pem);
	_free_ char *key_path = authority_path(f->ours, key);
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	struct evconnlistener *listener;

	f->ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate_file(f->ctx, pem_path, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(f->ctx, key_path, SSL_FILETYPE_PEM), 1);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = evconnlistener_new_bind(f->base, on_accept, f,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1, (struct sockaddr *)&in, sizeof(in));
	assert_non_null(listener);
	assert_int_equal(
	    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&in, &len), 0);
	f->port = ntohs(in.sin_port);
	return listener;
}

static void
on_answered(struct evhttp_request *req, void *arg)
{
	struct fixture *f = arg;

	f->answered = req && evhttp_request_get_response_code(req) == 204;
	event_base_loopbreak(f->base);
}

/* A server with this certificate, asked by the address; words are what is wrong with it, NULL for
 * nothing. */
static void
assert_taken(struct authority *ours, const char *name, const char *words)
{
	static const struct timeval limit = { .tv_sec = 20 };
	struct fixture f = { .base = event_base_new(), .ours = ours };
	struct evconnlistener *listener = listen_with(&f, name);
	_free_ char *ca = authority_path(ours, "ca.pem");
	char address[] = "127.0.0.1";
	const struct server server = { .host = address, .port = f.port, .tls = true, .ca = ca };
	struct evhttp_request *req = evhttp_request_new(on_answered, &f);
	struct dial dial;

	assert_int_equal(dial_open(&dial, f.base, &server, address), 0);
	evhttp_make_request(dial.connection, req, EVHTTP_REQ_GET, "/");
	dial_begun(&dial);
	event_base_loopexit(f.base, &limit);
	event_base_dispatch(f.base);
	if (f.answered != !words)
		fail_msg("%s: '%s'", name, dial.why);
	if (words)
		assert_non_null(strstr(dial.why, words));
	dial_close(&dial);
	if (f.accepted)
		bufferevent_free(f.accepted);
	evconnlistener_free(listener);
	SSL_CTX_free(f.ctx);
	event_base_free(f.base);
}

static void
test_certificates(void **state)
{
	struct authority *ours = authority_new(*state, "ca");

	authority_sign(ours, "host", "URI:virtx:host:" HOST, -1, 10);
	authority_sign(ours, "address", "IP:127.0.0.1", -1, 10);
	authority_sign(ours, "other", "IP:127.0.0.2", -1, 10);
	/* A guest that broke out of QEMU has the key of this one. */
	authority_sign(ours, "virtx:qemu:" HOST, "IP:127.0.0.1", -1, 10);
	assert_taken(ours, "host", NULL);
	assert_taken(ours, "address", NULL);
	assert_taken(ours, "other", "neither for '127.0.0.1' nor for a host of the cluster");
	assert_taken(ours, "virtx:qemu:" HOST, "it is that of a host's QEMU");
	authority_free(ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_certificates, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
