/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another host's operations: that host is a server of this loop, the reader only keeps what comes.
 */
#include "daemon/event_relay.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serf/members.h"
#include "state/caller.h"

#define OTHER "00000000-0000-4000-8000-000000000002"
#define VM    "10000000-0000-4000-8000-000000000001"

struct reader {
	struct request req;
	struct buffer out;
};

struct fixture {
	struct event_base *base;
	struct inventory *inventory;
	struct operations *operations;
	struct events *events;
	struct event_streams *streams;
	struct peers *peers;
	struct event_relay *relay;
	struct reader reader, looped;
	/* The other host. */
	struct evhttp *http;
	struct member_host host;
	struct evhttp_request *stream;
	unsigned int connected;
	char *last_event_id;
};

static struct fixture *fixture; /* for the stand-in */

void __wrap_members_each(const struct members *members, members_changed each, void *arg);

void
__wrap_members_each(const struct members *members, members_changed each, void *arg)
{
	each(arg, &fixture->host);
}

static void
keep_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	assert_int_equal(status, 200);
}

static size_t
keep_write(struct request *req, const void *data, size_t len)
{
	struct reader *reader = (struct reader *)req;

	buffer_add(&reader->out, data, len);
	return 0;
}

static void
keep_end(struct request *req, bool whole)
{
}

static const struct request_stream keep_stream = { keep_start, keep_write, keep_end };

static const struct caller somebody = { .role = ROLE_ADMIN, .from = "10.0.0.1" };

static void
open_reader(struct fixture *f, struct reader *reader, bool looped)
{
	*reader = (struct reader){ .req = { .stream = &keep_stream,
				       .client = "10.0.0.1",
				       .caller = &somebody,
				       .last_event_id = "",
				       .looped = looped } };
	event_streams_add(f->streams, &reader->req);
	buffer_clear(&reader->out);
}

static void
on_request(struct evhttp_request *http, void *arg)
{
	struct fixture *f = arg;

	f->connected++;
	f->stream = http;
	str_set(&f->last_event_id,
	    evhttp_find_header(evhttp_request_get_input_headers(http), "Last-Event-ID"));
	evhttp_add_header(
	    evhttp_request_get_output_headers(http), "Content-Type", "text/event-stream");
	evhttp_send_reply_start(http, 200, "OK");
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct evhttp_bound_socket *bound;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	fixture = f;
	f->base = event_base_new();
	f->http = evhttp_new(f->base);
	evhttp_set_gencb(f->http, on_request, f);
	bound = evhttp_bind_socket_with_handle(f->http, "127.0.0.1", 0);
	assert_int_equal(
	    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&in, &len), 0);
	f->host = (struct member_host){ .uuid = OTHER,
		.name = "h2",
		.addr = "127.0.0.1",
		.port = ntohs(in.sin_port),
		.cstate = CSTATE_ACTIVE };
	f->inventory = inventory_new();
	f->operations = operations_new();
	f->events = events_new(f->inventory, f->operations);
	f->streams = event_streams_new(f->base, f->events);
	f->peers = peers_new(f->base, NULL);
	f->relay = event_relay_new(f->base, f->peers, NULL, f->streams, f->events, f->operations);
	open_reader(f, &f->reader, false);
	open_reader(f, &f->looped, true);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	event_relay_free(f->relay);
	event_streams_free(f->streams);
	peers_free(f->peers);
	events_free(f->events);
	operations_free(f->operations);
	inventory_free(f->inventory);
	evhttp_free(f->http);
	event_base_free(f->base);
	buffer_clear(&f->reader.out);
	buffer_clear(&f->looped.out);
	free(f->last_event_id);
	free(f);
	return 0;
}

static void
run_for(struct fixture *f, int ms)
{
	struct timeval tv = { .tv_usec = ms * 1000 };

	event_base_loopexit(f->base, &tv);
	event_base_dispatch(f->base);
}

static void
wait_connected(struct fixture *f, unsigned int n)
{
	int64_t end = monotonic_ms() + 10000;

	while (f->connected < n && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->connected, n);
}

static void
tell(struct fixture *f, const char *text)
{
	struct evbuffer *piece = evbuffer_new();

	evbuffer_add(piece, text, strlen(text));
	evhttp_send_reply_chunk(f->stream, piece);
	evbuffer_free(piece);
}

static void
tell_operation(struct fixture *f, unsigned int number, const char *id)
{
	_free_ char *text = xasprintf(
	    "id: e-%u\nevent: operation\ndata: {\"id\":\"%s\",\"op\":\"VmBoot\",\"vm\":\"" VM
	    "\",\"host\":\"" OTHER "\",\"state\":\"completed\",\"msg\":\"number %u.\"}\n\n",
	    number, id, number);

	tell(f, text);
}

static unsigned int
count(const struct reader *reader, const char *what)
{
	const char *at = str_or_empty(reader->out.data);
	unsigned int n = 0;

	for (; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* The other host breaks off. */
static void
cut(struct fixture *f)
{
	evhttp_connection_free(evhttp_request_get_connection(f->stream));
}

/* More than any bound that an answer has. */
static void
test_long(void **state)
{
	enum { N = 3000, BYTES = 1000 };
	struct fixture *f = *state;
	_free_ char *filler = xcalloc(BYTES + 1, 1);
	int64_t end = monotonic_ms() + 20000;

	wait_connected(f, 1);
	assert_string_equal(f->last_event_id, "");
	memset(filler, 'x', BYTES);
	for (unsigned int i = 1; i <= N; i++) {
		char id[UUID_TEXT_SIZE];
		_free_ char *comment = xasprintf(": %s\n", filler);

		snprintf(id, sizeof(id), "20000000-0000-4000-8000-%012u", i);
		tell(f, comment);
		tell_operation(f, i, id);
		if (i % 100 == 0)
			run_for(f, 5);
	}
	while (count(&f->reader, "number 3000.") == 0 && monotonic_ms() < end)
		run_for(f, 20);
	assert_int_equal(count(&f->reader, "event: operation"), N);
	assert_int_equal(count(&f->reader, "event: reset"), 0);
	assert_int_equal(f->connected, 1);
	assert_string_equal(
	    operations_find_elsewhere(f->operations, "20000000-0000-4000-8000-000000003000"),
	    OTHER);
}

/* All at once: it is read as fast as is good for the others, and nothing is lost. */
static void
test_flood(void **state)
{
	enum { N = 3000 };
	struct fixture *f = *state;
	int64_t end = monotonic_ms() + 20000;

	wait_connected(f, 1);
	for (unsigned int i = 1; i <= N; i++) {
		char id[UUID_TEXT_SIZE];

		snprintf(id, sizeof(id), "20000000-0000-4000-8000-%012u", i);
		tell_operation(f, i, id);
	}
	while (count(&f->reader, "number 1.") == 0 && monotonic_ms() < end)
		run_for(f, 1);
	run_for(f, 300);
	assert_in_range(count(&f->reader, "event: operation"), 1, N / 2);
	while (count(&f->reader, "number 3000.") == 0 && monotonic_ms() < end)
		run_for(f, 20);
	assert_int_equal(count(&f->reader, "event: operation"), N);
	assert_int_equal(f->connected, 1);
}

static void
test_resumed(void **state)
{
	struct fixture *f = *state;

	wait_connected(f, 1);
	tell(f, "id: e-0\nevent: reset\ndata: {}\n\n");
	tell_operation(f, 1, "20000000-0000-4000-8000-000000000001");
	run_for(f, 600);
	/* Who follows already may have missed something. */
	assert_int_equal(count(&f->reader, "event: reset"), 1);
	cut(f);
	wait_connected(f, 2);
	assert_string_equal(f->last_event_id, "e-1");
	tell_operation(f, 2, "20000000-0000-4000-8000-000000000002");
	run_for(f, 600);
	assert_int_equal(count(&f->reader, "event: operation"), 2);
	assert_int_equal(count(&f->reader, "event: reset"), 1);

	cut(f);
	wait_connected(f, 3);
	assert_string_equal(f->last_event_id, "e-2");
	for (int i = 0; i < 6; i++) {
		tell(f, "id: f-7\nevent: reset\ndata: {}\n\n");
		run_for(f, 600);
	}
	/* However often it says so. */
	assert_int_equal(count(&f->reader, "event: reset"), 2);
	/* Other hosts tell of their own gaps. */
	assert_int_equal(count(&f->looped, "event: operation"), 2);
	assert_int_equal(count(&f->looped, "event: reset"), 0);
}

/* It tells of an operation that is this host's. */
static void
test_not_its_own(void **state)
{
	struct fixture *f = *state;
	_free_ char *own =
	    xstrdup(operations_start(f->operations, "VmDelete", VM, "here", "somebody"));

	wait_connected(f, 1);
	tell_operation(f, 1, own);
	tell_operation(f, 2, "20000000-0000-4000-8000-000000000002");
	run_for(f, 600);
	assert_int_equal(count(&f->reader, "number 1."), 0);
	assert_int_equal(count(&f->reader, "number 2."), 1);
	assert_null(operations_find_elsewhere(f->operations, own));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
