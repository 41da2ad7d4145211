/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two servers in one loop: what comes to the front is forwarded to the back. */
#include "http/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/exchange.h"
#include "http/peer.h"
#include "http/server.h"
#include "state/operations.h"

#define UUID "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define HOST "11111111-2222-3333-4444-555555555555"
#define BIG  (12 << 20)

struct fixture {
	struct event_base *base;
	struct config config;
	struct peers *peers;
	struct inventory *inventory;
	struct operations *operations;
	struct forwarder *forwarder;
	struct http_server *front, *back;
	struct forward_address address;
	bool known;
	/* What the back saw. */
	unsigned int n;
	struct buffer seen;
	char caller[CALLER_TEXT_SIZE];
	bool secrets; /* of the client, among the headers */
	struct request *held;
	unsigned int gone;
	/* What the back says of a route. */
	int none_status;
	const char *none_type, *none;
	/* Who chose the host. */
	bool chosen, again;
	struct request_forward more;
	struct request_answer answer;
	bool refused;
	unsigned int answered;
	/* The client. */
	int fd;
	struct buffer in;
	bool closed;
};

/* To the back the front is a host of the cluster. */
static enum guard_who
who(void *arg, const char *addr, const char **why)
{
	return strcmp(addr, "127.0.0.1") == 0 ? GUARD_MEMBER : GUARD_STRANGER;
}

static bool
find(void *arg, const char *host, struct forward_address *ret)
{
	struct fixture *f = arg;

	assert_string_equal(host, HOST);
	*ret = f->address;
	return f->known;
}

static void
on_front(void *arg, struct request *req)
{
	struct fixture *f = arg;

	if (f->chosen)
		forward_chosen(f->forwarder, req, HOST, &f->more);
	else
		forward_request(f->forwarder, req, HOST);
}

static void
on_back_gone(void *arg)
{
	struct fixture *f = arg;

	f->gone++;
	request_reply(steal_ptr(f->held), 204);
}

static const struct request_watch back_watch = { .gone = on_back_gone };

static bool
secrets_seen(struct request *req)
{
	struct exchange_source source;
	const struct evkeyval *header;

	assert_true(exchange_get_source(req, &source));
	TAILQ_FOREACH (header, source.headers, next) {
		if (strstr(header->value, "secret"))
			return true;
	}
	return false;
}

static void
on_back(void *arg, struct request *req)
{
	static const struct request_header headers[] = { { "Warning", "299 VirtX \"left\"" },
		{ "Location", "/operations/" UUID }, { "Allow", "GET" }, { "ETag", "\"e\"" },
		{ REQUEST_NEWS,
		    "{\"host\":\"" HOST "\",\"maintenance\":true,\"items\":[{\"uuid\":\"" UUID
		    "\",\"host\":\"" HOST "\",\"name\":\"web\",\"runstate\":4,\"ts\":7}]}" } };
	static const struct request_header refused = { "X-VirtX-Refused", "1 2 3 4" };
	struct fixture *f = arg;
	struct error err = { 0 };
	char *text;

	f->n++;
	buffer_clear(&f->seen);
	buffer_printf(&f->seen, "%s %s?%s looped=%d user=%s async=%d body=%s", req->route->path,
	    req->param, str_or_empty(req->query), req->looped, req->user, req->respond_async,
	    req->body);
	caller_write(req->caller, f->caller);
	f->secrets = secrets_seen(req);
	if (req->if_match)
		buffer_printf(&f->seen, " if-match=%s", req->if_match);
	if (*req->placement)
		buffer_printf(&f->seen, " placement=%s placed=%s", req->placement, req->placed);
	switch (req->route->id) {
	case ROUTE_VM_BOOT:
		request_reply_json(
		    req, 202, xstrdup("{\"id\":7}"), 8, headers, ARRAY_SIZE(headers));
		break;
	case ROUTE_VM_GET:
		text = xcalloc(BIG + 1, 1);
		memset(text, 'x', BIG);
		request_reply_text(req, 200, "application/json", text, BIG);
		break;
	case ROUTE_VM_UPDATE:
		error_set(&err, 422, "VM '%s' runs", req->param);
		request_reply_error(req, &err);
		break;
	case ROUTE_VM_RESUME:
		error_set(&err, 409, "VM '%s' is news", req->param);
		request_reply_error_full(req, &err, &refused, 1);
		break;
	case ROUTE_VM_PAUSE:
		f->held = req;
		request_set_watch(req, &back_watch, f);
		break;
	case ROUTE_MIGRATION_ABORT:
		error_set_type(&err, ERROR_WHO, "who asks is not known");
		request_reply_error(req, &err);
		break;
	case ROUTE_VM_RESET:
		request_reply_text(
		    req, f->none_status, f->none_type, xstrdup(f->none), strlen(f->none));
		break;
	case ROUTE_HOST_GET:
		request_reply_text(req, 200, "application/json", xstrdup("{}"), 2);
		break;
	default:
		request_reply(req, 204);
		break;
	}
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err = { 0 };

	f->base = event_base_new();
	config_init(&f->config);
	f->config.listen[0].port = 0;
	f->config.listen[0].access = ACCESS_OPEN;
	f->config.reply_timeout = 1;
	f->peers = peers_new(f->base, NULL);
	f->inventory = inventory_new();
	inventory_set_host(f->inventory, HOST, "back", CSTATE_ACTIVE);
	f->operations = operations_new();
	f->forwarder = forwarder_new(f->peers, &f->config, f->inventory, f->operations, find, f);
	f->front = http_server_new(f->base, &f->config, on_front, f, &err);
	f->back = http_server_new(f->base, &f->config, on_back, f, &err);
	http_server_set_hosts(f->back, NULL, who, NULL);
	f->known = true;
	f->address = (struct forward_address){ "127.0.0.1", http_server_port(f->back, 0), false };
	f->fd = -1;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	http_server_free(f->front);
	forwarder_free(f->forwarder);
	peers_free(f->peers);
	operations_free(f->operations);
	inventory_free(f->inventory);
	http_server_free(f->back);
	if (f->fd >= 0)
		close(f->fd);
	config_clear(&f->config);
	/* A connection that ends is freed by the next turn of the loop. */
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	event_base_free(f->base);
	buffer_clear(&f->seen);
	buffer_clear(&f->in);
	free(f);
	return 0;
}

static void
turn(struct fixture *f, int ms)
{
	struct timeval tv = { 0, ms * 1000 };

	event_base_loopexit(f->base, &tv);
	event_base_dispatch(f->base);
}

static void
send_text(struct fixture *f, const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(http_server_port(f->front, 0)) };

	if (f->fd >= 0)
		close(f->fd);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)!connect(f->fd, (struct sockaddr *)&in, sizeof(in));
	turn(f, 2);
	assert_int_equal(write(f->fd, text, strlen(text)), strlen(text));
	buffer_clear(&f->in);
	f->closed = false;
}

static void
take(struct fixture *f)
{
	static char chunk[256 * 1024];
	ssize_t n;

	while ((n = read(f->fd, chunk, sizeof(chunk))) > 0)
		buffer_add(&f->in, chunk, (size_t)n);
	f->closed = n == 0;
}

/* Until the head and this many bytes after it are there, or for 5 seconds. */
static const char *
await(struct fixture *f, size_t body)
{
	int64_t end = monotonic_ms() + 5000;
	const char *start = NULL;

	do {
		turn(f, 5);
		take(f);
		start = f->in.data ? strstr(f->in.data, "\r\n\r\n") : NULL;
	} while (!f->closed && monotonic_ms() < end &&
		 (!start || f->in.len - (size_t)(start + 4 - f->in.data) < body));
	assert_non_null(start);
	return start + 4;
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%.400s' does not hold '%s'", str_or_empty(text), part);
}

static void
test_passes(void **state)
{
	struct fixture *f = *state;
	const char *body;

	send_text(f, "POST /vms/" UUID "/runstate/boot?x=a%20b HTTP/1.1\r\nHost: localhost\r\n"
		     "Prefer: respond-async\r\nX-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n"
		     "Connection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: "
		     "3\r\n\r\n{ }");
	body = await(f, 8);
	assert_has(f->in.data, "HTTP/1.1 202 Accepted\r\n");
	assert_has(f->in.data, "Warning: 299 VirtX \"left\"\r\n");
	assert_has(f->in.data, "Location: /operations/" UUID "\r\n");
	assert_string_equal(operations_find_elsewhere(f->operations, UUID), HOST);
	/* What it has brought about is known here, and not the client's. */
	assert_null(strstr(f->in.data, REQUEST_NEWS));
	assert_string_equal(inventory_find_vm(f->inventory, UUID)->vm.def.name, "web");
	assert_has(f->in.data, "Allow: GET\r\n");
	assert_has(f->in.data, "ETag: \"e\"\r\n");
	assert_has(f->in.data, "Content-Type: application/json\r\n");
	assert_has(f->in.data, "Content-Length: 8\r\n");
	assert_null(strstr(f->in.data, "chunked"));
	assert_string_equal(body, "{\"id\":7}");
	assert_string_equal(f->seen.data,
	    "/vms/{uuid}/runstate/boot " UUID "?x=a%20b looped=1 user=127.0.0.1 async=1 body={ }");

	/* A problem, and an empty answer. */
	send_text(f, "PUT /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"a\", \"b\"\r\n"
		     "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
	body = await(f, 20);
	assert_has(f->seen.data, " if-match=\"a\", \"b\"");
	assert_has(f->in.data, "HTTP/1.1 422 ");
	assert_has(f->in.data, "Content-Type: application/problem+json\r\n");
	assert_has(body, "runs");
	send_text(f, "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 0);
	assert_has(f->in.data, "HTTP/1.1 204 ");
	assert_null(strstr(f->in.data, "Content-Length"));
	assert_has(f->seen.data, "user=127.0.0.1");
	/* Who asks is told, and never by what they have shown, or have said of themselves. */
	assert_string_equal(f->caller, "address admin 127.0.0.1 127.0.0.1");
	send_text(f,
	    "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
	    "Proxy-Authorization: Basic secret\r\nCookie: secret\r\n"
	    "X-VirtX-Caller: token viewer secret 1\r\n\r\n");
	await(f, 0);
	assert_has(f->in.data, "HTTP/1.1 204 ");
	assert_string_equal(f->caller, "address admin 127.0.0.1 127.0.0.1");
	assert_false(f->secrets);
	/* A proxy is believed by the front, and the front by the back. */
	str_set(&f->config.trusted_proxies, "127.0.0.1");
	send_text(f, "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n"
		     "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n\r\n");
	await(f, 0);
	assert_has(f->seen.data, "user=10.0.0.8");
	/* The whole path of one client on one connection. */
	send_text(f, "HEAD /hosts/" HOST " HTTP/1.1\r\nHost: localhost\r\n\r\n"
		     "GET /hosts/" HOST " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 60);
	assert_has(f->in.data, "Content-Length: 2\r\n");
	assert_has(f->in.data, "\r\n\r\nHTTP/1.1 200");
	assert_has(f->in.data, "\r\n\r\n{}");
}

static bool
on_answered(void *arg, struct request *req, const struct request_answer *answer)
{
	struct fixture *f = arg;

	f->answered++;
	f->answer = *answer;
	f->refused = answer->refused && strcmp(answer->refused, "1 2 3 4") == 0;
	if (!f->again || answer->gone)
		return false;
	request_reply(req, 204);
	return true;
}

/* Who chose the host sends reasons along, and sees the answer before the client. */
static void
test_chosen(void **state)
{
	static const struct request_header headers[] = { { "X-VirtX-Placement", "because \t" },
		{ "X-VirtX-Placed", "7 8" } };
	struct fixture *f = *state;

	/* A client cannot make reasons up, nor can who forwards plainly pass them on. */
	send_text(f,
	    "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\nX-VirtX-Placement: a lie\r\n\r\n");
	await(f, 0);
	assert_null(strstr(f->seen.data, "placement"));

	f->chosen = true;
	f->more = (struct request_forward){ headers, ARRAY_SIZE(headers), on_answered, f };
	send_text(f,
	    "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\nX-VirtX-Placement: a lie\r\n\r\n");
	await(f, 0);
	assert_has(f->in.data, "HTTP/1.1 204 ");
	assert_has(f->seen.data, "placement=because");
	assert_has(f->seen.data, "placed=7 8");
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->answer.status, 204);
	/* Of a host alone. */
	http_server_set_hosts(f->back, NULL, NULL, NULL);
	send_text(f, "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 0);
	assert_has(f->seen.data, "looped=1");
	assert_null(strstr(f->seen.data, "because"));
	http_server_set_hosts(f->back, NULL, who, NULL);

	send_text(f, "DELETE /vms/" UUID "/runstate/pause HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 20);
	assert_has(f->in.data, "HTTP/1.1 409 ");
	assert_null(strstr(f->in.data, "X-VirtX-Refused"));
	assert_true(f->refused);
	f->again = true;
	send_text(f, "DELETE /vms/" UUID "/runstate/pause HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 0);
	assert_has(f->in.data, "HTTP/1.1 204 ");

	/* The client goes while the other host works: that may yet come to an end. */
	send_text(f, "POST /vms/" UUID "/runstate/pause HTTP/1.1\r\nHost: localhost\r\n\r\n");
	for (int i = 0; i < 200 && !f->held; i++)
		turn(f, 5);
	close(steal_fd(&f->fd));
	for (int i = 0; i < 200 && f->held; i++)
		turn(f, 5);
	assert_true(f->answer.gone);
	assert_false(f->answer.unsent);

	/* Nothing left for a host that does not listen, or is not known. */
	http_server_free(steal_ptr(f->back));
	send_text(f, "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 0);
	assert_has(f->in.data, "HTTP/1.1 204 ");
	assert_true(f->answer.unsent);
	assert_int_equal(f->answer.status, 0);
	f->known = false;
	f->answer.unsent = false;
	send_text(f, "DELETE /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await(f, 0);
	assert_true(f->answer.unsent);
}

static void
test_long(void **state)
{
	struct fixture *f = *state;
	struct peers_stats stats;
	const char *body;

	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	/* Nobody reads: what waits in the front is bounded, and the rest is still at the back. */
	for (int i = 0; i < 20; i++)
		turn(f, 10);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.calls, 1);
	body = await(f, BIG);
	assert_has(f->in.data, "Content-Length: 12582912\r\n");
	assert_int_equal(f->in.len - (size_t)(body - f->in.data), BIG);
	/* The connection goes on. */
	assert_int_equal(
	    write(f->fd, "GET /hosts/" HOST " HTTP/1.1\r\nHost: localhost\r\n\r\n", 78), 78);
	buffer_clear(&f->in);
	body = await(f, 2);
	assert_string_equal(body, "{}");
	/* The client leaves in the middle. */
	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	turn(f, 50);
	close(f->fd);
	f->fd = -1;
	turn(f, 50);
	peers_get_stats(f->peers, &stats);
	assert_int_equal(stats.calls, 0);
}

/* The back dies in the middle of a long answer: the client must not take it for whole. */
static void
test_cut(void **state)
{
	struct fixture *f = *state;
	int64_t end = monotonic_ms() + 5000;

	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	turn(f, 50);
	http_server_free(steal_ptr(f->back));
	while (!f->closed && monotonic_ms() < end) {
		turn(f, 5);
		take(f);
	}
	assert_true(f->closed);
	assert_has(f->in.data, "Content-Length: 12582912\r\n");
	assert_true(f->in.len < BIG);
}

/* A host whose virtxd is an earlier one, or the Go virtx: that is not taken for a VM that is not
 * there, which is passed on. */
static void
test_no_such_route(void **state)
{
	static const struct {
		int status;
		const char *type, *body, *wanted;
	} rows[] = {
		{ 404, "application/problem+json",
		    "{\"type\":\"/problems/not-found\",\"status\":404,"
		    "\"detail\":\"there is no '/vms/" UUID "/runstate/reset'\"}",
		    "HTTP/1.1 501 " },
		{ 404, "text/plain", "404 page not found\n", "HTTP/1.1 501 " },
		{ 405, "text/plain", "Method Not Allowed\n", "HTTP/1.1 501 " },
		{ 404, "application/problem+json",
		    "{\"type\":\"/problems/not-found\",\"status\":404,"
		    "\"detail\":\"no VM '" UUID "' is known\"}",
		    "HTTP/1.1 404 " },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f->none_status = rows[i].status;
		f->none_type = rows[i].type;
		f->none = rows[i].body;
		send_text(f, "POST /vms/" UUID "/runstate/reset HTTP/1.1\r\nHost: localhost\r\n"
			     "Content-Length: 0\r\n\r\n");
		await(f, 30);
		assert_has(f->in.data, rows[i].wanted);
		if (strstr(rows[i].wanted, "501")) {
			assert_has(f->in.data,
			    "host '" HOST "' cannot do this (POST /vms/{uuid}/runstate/reset): its "
			    "virtxd is another version, which does not know of it; nothing was "
			    "done\"");
			assert_has(f->in.data, "/problems/not-supported");
			assert_null(strstr(f->in.data, "may be done there"));
		}
	}
}

static void
test_gone(void **state)
{
	struct fixture *f = *state;

	send_text(f, "POST /vms/" UUID "/runstate/pause HTTP/1.1\r\nHost: localhost\r\n\r\n");
	turn(f, 50);
	assert_non_null(f->held);
	close(f->fd);
	f->fd = -1;
	turn(f, 100);
	assert_int_equal(f->gone, 1);
	assert_null(f->held);
}

static void
test_unreachable(void **state)
{
	struct fixture *f = *state;
	const char *body;

	/* It does not answer. */
	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	http_server_free(steal_ptr(f->back));
	body = await(f, 100);
	assert_has(f->in.data, "HTTP/1.1 502 Bad Gateway\r\n");
	assert_has(body, "cannot connect to host '" HOST "' at 127.0.0.1 port");
	assert_has(body, "Connection refused");
	assert_has(body, "\"host\":\"" HOST "\"");
	assert_has(body, "\"vm\":\"" UUID "\"");
	f->address.tls = true;
	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	body = await(f, 100);
	assert_has(f->in.data, "HTTP/1.1 502 ");
	assert_has(body, "TLS");
	f->known = false;
	send_text(f, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	body = await(f, 100);
	assert_has(f->in.data, "HTTP/1.1 503 ");
	assert_has(body, "serf does not say where");
}

/* The other host does not know this one: nothing is wrong with what the client has shown. */
static void
test_not_known(void **state)
{
	struct fixture *f = *state;
	const char *body;

	send_text(f, "DELETE /vms/" UUID "/runstate/migrate HTTP/1.1\r\nHost: localhost\r\n\r\n");
	body = await(f, 100);
	assert_has(f->in.data, "HTTP/1.1 502 ");
	assert_has(body, "host '" HOST "' does not know this one");
	assert_null(strstr(body, "may be done there"));
}

/* The host dies with the request in its hands. */
static void
test_lost(void **state)
{
	struct fixture *f = *state;
	const char *body;

	send_text(f, "POST /vms/" UUID "/runstate/pause HTTP/1.1\r\nHost: localhost\r\n\r\n");
	turn(f, 50);
	assert_non_null(f->held);
	http_server_free(steal_ptr(f->back));
	assert_null(f->held);
	body = await(f, 100);
	assert_has(f->in.data, "HTTP/1.1 502 ");
	assert_has(body, "may be done there, or go on; GET tells what is true");
}

/* Failures come as fast as clients ask. */
static void
test_log(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/virtx-forward-XXXXXX";
	int saved = dup(STDERR_FILENO), file = mkstemp(path);
	_buffer_ struct buffer requests = { 0 }, text = { 0 };
	unsigned int lines = 0;

	unlink(path);
	for (int i = 0; i < 200; i++)
		buffer_printf(&requests, "GET /vms/" UUID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	f->known = false;
	dup2(file, STDERR_FILENO);
	send_text(f, requests.data);
	await(f, 200 * 400);
	dup2(saved, STDERR_FILENO);
	close(saved);
	lseek(file, 0, SEEK_SET);
	assert_int_equal(read_all(file, &text, 1 << 20), 0);
	close(file);
	for (const char *p = text.data; (p = strstr(p, "serf does not say")); p++)
		lines++;
	assert_in_range(lines, 1, 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chosen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_route, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
