/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to a peer that is a script on a loopback socket, all in one loop. */
#include "http/peer.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/tokens.h"

#define BIG (4 << 20)

struct fixture {
	struct event_base *base;
	struct peers *peers;
	struct evconnlistener *listener;
	uint16_t port;
	/* The peer: answers each request with this, then closes where close. */
	const char *answer;
	size_t repeat; /* bytes of body after it */
	bool close;
	unsigned int drop; /* requests of this number and later are not answered but closed */
	unsigned int accepted, requests;
	struct buffer seen;
	struct bufferevent *bevs[16];
	/* The call. */
	struct peer_call *call;
	bool pieces, cancel_in_begin, cancel_in_data, pause;
	unsigned int begun, done;
	int status;
	int64_t length;
	struct buffer body;
	struct buffer headers;
	struct error err;
};

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);

	buffer_add(&f->seen, evbuffer_pullup(in, -1), len);
	evbuffer_drain(in, len);
	f->requests++;
	if (f->drop && f->requests >= f->drop) {
		shutdown(bufferevent_getfd(bev), SHUT_RDWR);
		return;
	}
	if (!f->answer)
		return;
	evbuffer_add(bufferevent_get_output(bev), f->answer, strlen(f->answer));
	if (f->repeat) {
		_free_ char *filler = xcalloc(1, f->repeat);

		memset(filler, 'x', f->repeat);
		evbuffer_add(bufferevent_get_output(bev), filler, f->repeat);
	}
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;

	if (f->close && f->requests)
		shutdown(bufferevent_getfd(bev), SHUT_RDWR);
}

static void
on_accept(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
	struct fixture *f = arg;
	struct bufferevent *bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);

	assert_true(f->accepted < ARRAY_SIZE(f->bevs));
	f->bevs[f->accepted++] = bev;
	bufferevent_setcb(bev, on_read, on_write, NULL, f);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	f->base = event_base_new();
	f->peers = peers_new(f->base, NULL);
	f->listener = evconnlistener_new_bind(
	    f->base, on_accept, f, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&in, sizeof(in));
	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&in, &len);
	f->port = ntohs(in.sin_port);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	peers_free(f->peers);
	for (unsigned int i = 0; i < f->accepted; i++)
		bufferevent_free(f->bevs[i]);
	if (f->listener)
		evconnlistener_free(f->listener);
	event_base_free(f->base);
	buffer_clear(&f->seen);
	buffer_clear(&f->body);
	buffer_clear(&f->headers);
	free(f);
	return 0;
}

static bool
on_begin(void *arg, const struct peer_answer *answer)
{
	struct fixture *f = arg;

	f->begun++;
	f->status = answer->status;
	f->length = answer->length;
	if (f->cancel_in_begin)
		peer_cancel(steal_ptr(f->call));
	return f->pieces;
}

static void
on_data(void *arg, const void *data, size_t len)
{
	struct fixture *f = arg;

	buffer_add(&f->body, data, len);
	if (f->cancel_in_data)
		peer_cancel(steal_ptr(f->call));
	else if (f->pause)
		peer_pause(f->call, true);
}

static void
on_done(void *arg, const struct peer_answer *answer, const struct error *err)
{
	struct fixture *f = arg;

	assert_true(!answer != !err);
	f->done++;
	f->call = NULL;
	if (err) {
		f->err = *err;
		return;
	}
	f->status = answer->status;
	f->length = answer->length;
	if (!f->pieces)
		buffer_add(&f->body, answer->body, answer->len);
	assert_int_equal(answer->body[answer->len], '\0');
	buffer_add(&f->headers, "", 0);
	for (size_t i = 0; i < answer->n_headers; i++)
		buffer_printf(
		    &f->headers, "%s=%s;", answer->headers[i].name, answer->headers[i].value);
}

static const struct peer_ops ops = { .begin = on_begin, .data = on_data, .done = on_done };

static struct peer_request
request_to(struct fixture *f)
{
	return (struct peer_request){
		.addr = "127.0.0.1",
		.port = f->port,
		.host = "h2",
		.method = METHOD_GET,
		.path = "/vms?name=a%20b",
		.connect_ms = 1000,
		.deadline_ms = 2000,
		.answer_max = 8 << 20,
	};
}

/* Runs the loop until something is so, or for 5 seconds. */
static void
turn(struct fixture *f, const bool until_done)
{
	struct timeval tv = { 0, until_done ? 10000 : 150000 };
	int64_t end = monotonic_ms() + 5000;

	do {
		event_base_loopexit(f->base, &tv);
		event_base_dispatch(f->base);
	} while (until_done && !f->done && monotonic_ms() < end);
}

static void
run(struct fixture *f, const struct peer_request *request)
{
	f->done = 0;
	f->err.status = 0;
	f->status = 0;
	buffer_clear(&f->body);
	buffer_clear(&f->headers);
	f->call = peer_start(f->peers, request, &ops, f);
	assert_int_equal(f->done, 0);
	turn(f, true);
	assert_int_equal(f->done, 1);
}

static void
test_whole(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);
	struct request_header header = { "X-VirtX-Loop", "1" };

	request.method = METHOD_POST;
	request.body = "{\"a\":1}";
	request.len = 7;
	request.headers = &header;
	request.n_headers = 1;
	f->answer =
	    "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nWarning: 299 VirtX \"w\"\r\n"
	    "Content-Length: 5\r\n\r\nhello";
	run(f, &request);
	assert_int_equal(f->err.status, 0);
	assert_int_equal(f->status, 201);
	assert_int_equal(f->length, 5);
	assert_string_equal(f->body.data, "hello");
	assert_non_null(strstr(f->headers.data, "Warning=299 VirtX \"w\";"));
	assert_non_null(strstr(f->seen.data, "POST /vms?name=a%20b HTTP/1.1\r\n"));
	assert_non_null(strstr(f->seen.data, "X-VirtX-Loop: 1\r\n"));
	assert_non_null(strstr(f->seen.data, "Content-Length: 7\r\n"));
	assert_non_null(strstr(f->seen.data, "Host: 127.0.0.1:"));
	assert_non_null(strstr(f->seen.data, "\r\n\r\n{\"a\":1}"));
}

static void
test_no_body(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	request.method = METHOD_DELETE;
	f->answer = "HTTP/1.1 204 No Content\r\n\r\n";
	run(f, &request);
	assert_int_equal(f->status, 204);
	assert_int_equal(f->body.len, 0);
	assert_non_null(strstr(f->seen.data, "Content-Length: 0\r\n"));
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	request.method = METHOD_HEAD;
	f->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";
	run(f, &request);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->length, 100);
	assert_int_equal(f->body.len, 0);
}

/* Safe requests share a connection; what changes something has one of its own. */
static void
test_kept(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);
	struct peers_stats stats;

	f->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
	for (int i = 0; i < 3; i++)
		run(f, &request);
	assert_int_equal(f->accepted, 1);
	assert_int_equal(f->requests, 3);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.idle, 1);
	assert_int_equal(stats.calls, 0);
	request.method = METHOD_PUT;
	run(f, &request);
	assert_int_equal(f->accepted, 2);
	/* The server ends them: they are forgotten. */
	for (unsigned int i = 0; i < f->accepted; i++)
		shutdown(bufferevent_getfd(f->bevs[i]), SHUT_RDWR);
	turn(f, false);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.connections, 0);
}

/* A kept connection ends under the next request: that is tried once more, on a new one. */
static void
test_stale(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	f->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
	run(f, &request);
	f->drop = 2;
	run(f, &request);
	assert_int_equal(f->accepted, 2);
	assert_int_equal(f->requests, 3);
	assert_int_equal(f->err.status, 502);
	f->drop = 0;
	run(f, &request);
	assert_int_equal(f->status, 200);
}

static void
test_pieces(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	f->pieces = true;
	f->answer =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
	run(f, &request);
	assert_int_equal(f->begun, 1);
	assert_int_equal(f->length, -1);
	assert_string_equal(f->body.data, "hello world");

	f->answer =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4194304\r\n\r\n";
	f->repeat = BIG;
	run(f, &request);
	assert_int_equal(f->length, BIG);
	assert_int_equal(f->body.len, BIG);
}

/* A slow reader holds the sender back, and loses nothing. */
static void
test_pause(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);
	size_t before;

	f->pieces = f->pause = true;
	request.deadline_ms = 300;
	f->answer =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4194304\r\n\r\n";
	f->repeat = BIG;
	f->call = peer_start(f->peers, &request, &ops, f);
	turn(f, false);
	before = f->body.len;
	assert_in_range(before, 1, 256 * 1024);
	for (int i = 0; i < 4; i++)
		turn(f, false);
	assert_int_equal(f->body.len, before);
	assert_int_equal(f->done, 0);
	f->pause = false;
	peer_pause(f->call, false);
	turn(f, true);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->err.status, 0);
	assert_int_equal(f->body.len, BIG);
}

static void
test_cancel(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);
	struct peers_stats stats;

	f->pieces = true;
	f->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: "
		    "chunked\r\n\r\n5\r\nhello\r\n";
	f->call = peer_start(f->peers, &request, &ops, f);
	peer_cancel(f->call);
	turn(f, false);
	assert_int_equal(f->begun, 0);
	f->cancel_in_begin = true;
	f->call = peer_start(f->peers, &request, &ops, f);
	turn(f, false);
	assert_null(f->call);
	assert_int_equal(f->body.len, 0);
	f->cancel_in_begin = false;
	f->cancel_in_data = true;
	f->call = peer_start(f->peers, &request, &ops, f);
	turn(f, false);
	assert_null(f->call);
	assert_string_equal(f->body.data, "hello");
	assert_int_equal(f->done, 0);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.calls, 0);
	assert_int_equal(stats.connections, 0);
}

static void
assert_fails(struct fixture *f, const struct peer_request *request, const char *why)
{
	run(f, request);
	assert_int_equal(f->err.status, 502);
	if (!strstr(f->err.detail, why))
		fail_msg("'%s' does not say '%s'", f->err.detail, why);
}

static void
test_failures(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	request.deadline_ms = 100;
	assert_fails(f, &request, "host 'h2' at 127.0.0.1 port");
	assert_fails(f, &request, "did not answer within 100 ms");
	f->answer =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello";
	assert_fails(f, &request, "within 100 ms");
	f->close = true;
	assert_fails(f, &request, "closed the connection before its answer was whole");
	f->close = false;
	f->answer = "SSH-2.0-OpenSSH\r\n";
	assert_fails(f, &request, "no HTTP answer");
	f->answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 101\r\n\r\n";
	f->repeat = 101;
	request.answer_max = 100;
	assert_fails(f, &request, "too large");
	f->answer = "HTTP/1.1 200 OK\r\nX-Long: ";
	f->repeat = 100 << 10;
	assert_fails(f, &request, "headers are too large");
	f->drop = 1;
	assert_fails(f, &request, "closed the connection");
	request.addr = "localhost";
	assert_fails(f, &request, "'localhost' is no IP address");
	request.addr = "127.0.0.1";
	evconnlistener_free(steal_ptr(f->listener));
	assert_fails(f, &request, "Connection refused");
}

/* Nobody accepts, and the backlog is full. */
static void
test_connect_deadline(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0), fills[3];

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 0), 0);
	getsockname(fd, (struct sockaddr *)&in, &len);
	for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
		fills[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fills[i], (struct sockaddr *)&in, sizeof(in));
	}
	request.port = ntohs(in.sin_port);
	request.connect_ms = 100;
	assert_fails(f, &request, "cannot connect to host 'h2'");
	assert_non_null(strstr(f->err.detail, "no answer within 100 ms"));
	for (size_t i = 0; i < ARRAY_SIZE(fills); i++)
		close(fills[i]);
	close(fd);
}

static void
on_got(void *arg, const struct peer_answer *answer, const struct error *err)
{
	on_done(arg, answer, err);
}

/* connect() itself fails, as where there is no route: nobody is called back before he has the call.
 */
static void
test_connect_fails_at_once(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	request.addr = "255.255.255.255";
	assert_fails(f, &request, "cannot connect to host 'h2' at 255.255.255.255 port");
	assert_non_null(strstr(f->err.detail, "Network is unreachable"));
	f->done = 0;
	assert_non_null(peer_get(f->peers,
	    &(struct peer_to){ "255.255.255.255", f->port, NULL, false }, "/vms", 2000, on_got, f));
	assert_int_equal(f->done, 0);
	turn(f, true);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->err.status, 502);
}

static void
test_get(void **state)
{
	struct fixture *f = *state;

	f->answer =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4194304\r\n\r\n";
	f->repeat = BIG;
	peer_get(f->peers, &(struct peer_to){ "127.0.0.1", f->port, NULL, false }, "/vms", 2000,
	    on_got, f);
	turn(f, true);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->body.len, BIG);
}

static const char *
refuse_all(const char *addr)
{
	return strcmp(addr, "127.0.0.1") == 0 ? "a loopback address" : NULL;
}

/* Nothing is sent to where no other host can be. */
static void
test_refused_address(void **state)
{
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	peers_free(f->peers);
	f->peers = peers_new(f->base, refuse_all);
	assert_fails(f, &request, "host 'h2' at 127.0.0.1 port");
	assert_fails(f, &request, "is not asked: what serf has for it is a loopback address");
	assert_int_equal(f->accepted, 0);
}

/* Nor to a host that was put out. */
static void
test_put_out(void **state)
{
	struct tokens *tokens = tokens_new();
	struct fixture *f = *state;
	struct peer_request request = request_to(f);

	tokens_put_out(tokens, request.host, true);
	peers_set_tokens(f->peers, tokens);
	run(f, &request);
	assert_int_equal(f->err.status, 409);
	assert_non_null(strstr(f->err.detail, "was put out of the cluster, and is asked nothing"));
	assert_int_equal(f->accepted, 0);
	peers_set_tokens(f->peers, NULL);
	tokens_free(tokens);
}

static void
test_bound(void **state)
{
	struct fixture *f = *state;
	struct peers_stats stats;

	f->answer = NULL;
	evconnlistener_disable(f->listener);
	for (int i = 0; i < 65; i++)
		peer_get(f->peers, &(struct peer_to){ "127.0.0.1", f->port, NULL, false }, "/vms",
		    2000, on_got, f);
	turn(f, true);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->err.status, 503);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.calls, 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connect_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connect_fails_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_get, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_out, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
