/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring of events, and streams of it to requests that only keep what is written. */
#include "api/events.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "state/caller.h"
#include "state/tokens.h"

#define HOST  "00000000-0000-4000-8000-000000000002"
#define PROXY "10.0.0.254"
#define VM    "10000000-0000-4000-8000-000000000001"

struct kept {
	struct request req;
	struct buffer out;
	size_t unsent; /* what request_write says */
	int status;
	bool ended, replied;
};

struct fixture {
	struct event_base *base;
	struct inventory *inventory;
	struct operations *operations;
	struct events *events;
	struct event_streams *streams;
	struct kept kept[EVENT_STREAMS_MAX + 1];
};

static void
kept_send(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	struct kept *k = (struct kept *)req;

	k->status = status;
	k->replied = true;
	free(body);
}

static void
kept_start(struct request *req, int status, const char *content_type, int64_t length,
    const struct request_header *headers, size_t n_headers)
{
	struct kept *k = (struct kept *)req;

	assert_string_equal(content_type, "text/event-stream");
	assert_int_equal(length, -1);
	assert_int_equal(n_headers, 2);
	assert_string_equal(headers[0].name, "Cache-Control");
	assert_string_equal(headers[0].value, "no-store");
	assert_string_equal(headers[1].name, "X-Accel-Buffering");
	assert_string_equal(headers[1].value, "no");
	k->status = status;
}

static size_t
kept_write(struct request *req, const void *data, size_t len)
{
	struct kept *k = (struct kept *)req;

	assert_false(k->ended);
	buffer_add(&k->out, data, len);
	return k->unsent;
}

static void
kept_end(struct request *req, bool whole)
{
	struct kept *k = (struct kept *)req;

	assert_false(k->ended);
	k->ended = true;
}

static const struct request_stream kept_stream = { kept_start, kept_write, kept_end };

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->base = event_base_new();
	f->inventory = inventory_new();
	f->operations = operations_new();
	f->events = events_new(f->inventory, f->operations);
	f->streams = event_streams_new(f->base, f->events);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	event_streams_free(f->streams);
	events_free(f->events);
	operations_free(f->operations);
	inventory_free(f->inventory);
	event_base_free(f->base);
	for (size_t i = 0; i < ARRAY_SIZE(f->kept); i++)
		buffer_clear(&f->kept[i].out);
	free(f);
	return 0;
}

static const struct caller somebody = {
	.role = ROLE_ADMIN, .user = "10.0.0.1", .from = "10.0.0.1"
};

static struct kept *
open_stream(struct fixture *f, size_t i, const char *last)
{
	struct kept *k = &f->kept[i];

	buffer_clear(&k->out);
	*k = (struct kept){ .req = { .send = kept_send,
				.stream = &kept_stream,
				.client = PROXY,
				.caller = &somebody,
				.last_event_id = last } };
	event_streams_add(f->streams, &k->req);
	return k;
}

static void
turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
make_operations(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		operations_start(f->operations, "VmBoot", VM, HOST, "u");
}

static char *
id_text(struct fixture *f, uint64_t id)
{
	return xasprintf(
	    "%llx-%llu", (unsigned long long)events_epoch(f->events), (unsigned long long)id);
}

static void
test_changes(void **state)
{
	struct fixture *f = *state;
	char uuid[] = VM, host[] = HOST, name[] = "web";
	struct vm_info info = {
		.uuid = uuid, .host = host, .runstate = VMRUNSTATE_RUNNING, .ts = 1000, .name = name
	};
	const struct event_item *item;
	const char *id;

	assert_int_equal(events_first(f->events), 1);
	assert_int_equal(events_last(f->events), 0);
	assert_null(events_get(f->events, 0));
	assert_null(events_get(f->events, 1));
	inventory_set_host(f->inventory, HOST, "h2", CSTATE_ACTIVE);
	inventory_take_info(f->inventory, &info);
	id = operations_start(f->operations, "VmBoot", VM, HOST, "u");
	operations_progress(f->operations, id, 50);
	operations_progress(f->operations, id, 50);
	operations_finish(f->operations, id, NULL, NULL);
	info.runstate = VMRUNSTATE_DELETED;
	info.ts = 2000;
	inventory_take_event(f->inventory,
	    &(struct vm_event){
		.uuid = uuid, .host = host, .runstate = VMRUNSTATE_DELETED, .ts = 2000 });
	assert_int_equal(events_last(f->events), 6);
	item = events_get(f->events, 1);
	assert_string_equal(item->type, "host");
	assert_non_null(strstr(item->data, "\"name\":\"h2\""));
	item = events_get(f->events, 2);
	assert_string_equal(item->type, "vm");
	assert_non_null(strstr(item->data, "{\"uuid\":\"" VM "\",\"fields\":{\"name\":\"web\""));
	assert_non_null(strstr(item->data, "\"runstate\":4"));
	item = events_get(f->events, 4);
	assert_string_equal(item->type, "operation");
	assert_non_null(strstr(item->data, "\"progress\":50"));
	item = events_get(f->events, 5);
	assert_non_null(strstr(item->data, "\"state\":\"completed\""));
	item = events_get(f->events, 6);
	assert_string_equal(item->type, "vm");
	assert_non_null(strstr(item->data, "\"runstate\":1"));
}

static void
test_ring(void **state)
{
	struct fixture *f = *state;

	make_operations(f, EVENTS_MAX + 10);
	assert_int_equal(events_last(f->events), EVENTS_MAX + 10);
	assert_int_equal(events_first(f->events), 11);
	assert_null(events_get(f->events, 10));
	assert_int_equal(events_get(f->events, 11)->id, 11);
}

static void
test_stream(void **state)
{
	struct fixture *f = *state;
	struct kept *k, *late;
	_free_ char *id = NULL;

	make_operations(f, 3);
	k = open_stream(f, 0, "");
	assert_int_equal(k->status, 200);
	assert_non_null(strstr(k->out.data, "event: reset\ndata: {}\n\n"));
	assert_non_null(strstr(k->out.data, "-3\n"));
	assert_null(strstr(k->out.data, "event: operation"));
	make_operations(f, 2);
	assert_null(strstr(k->out.data, "event: operation"));
	turn(f);
	assert_non_null(strstr(k->out.data, "-4\nevent: operation\ndata: {\"id\":"));
	assert_non_null(strstr(k->out.data, "-5\nevent: operation\n"));
	assert_null(strstr(k->out.data, "-3\nevent: operation"));

	/* Behind the third. */
	id = id_text(f, 3);
	late = open_stream(f, 1, id);
	assert_null(strstr(late->out.data, "event: reset"));
	assert_null(strstr(late->out.data, "-3\n"));
	assert_non_null(strstr(late->out.data, "-4\nevent: operation"));
	assert_non_null(strstr(late->out.data, "-5\nevent: operation"));
	assert_int_equal(event_streams_count(f->streams), 2);
	late->req.watch->gone(late->req.watch_arg);
	assert_true(late->ended);
	assert_int_equal(event_streams_count(f->streams), 1);
}

/* What is wanted is sent, whatever comes behind it in the same turn. */
static void
test_filtered(void **state)
{
	struct fixture *f = *state;
	_free_ char *first = id_text(f, 0);
	struct kept *k = &f->kept[0];

	*k = (struct kept){ .req = { .send = kept_send,
				.stream = &kept_stream,
				.client = PROXY,
				.caller = &somebody,
				.query = "type=operation",
				.last_event_id = "" } };
	event_streams_add(f->streams, &k->req);
	make_operations(f, 1);
	inventory_set_host(f->inventory, HOST, "h2", CSTATE_ACTIVE);
	turn(f);
	assert_non_null(strstr(str_or_empty(k->out.data), "event: operation"));
	assert_null(strstr(k->out.data, "event: host"));

	/* The same of what is sent again. */
	k = &f->kept[1];
	*k = (struct kept){ .req = { .send = kept_send,
				.stream = &kept_stream,
				.client = PROXY,
				.caller = &somebody,
				.query = "type=operation",
				.last_event_id = first } };
	event_streams_add(f->streams, &k->req);
	turn(f);
	assert_non_null(strstr(str_or_empty(k->out.data), "event: operation"));
}

static void
report_vm(struct fixture *f, const char *uuid, const char *owner, bool here)
{
	struct custom_field custom = { (char *)"owner", (char *)owner };
	char id[37];
	struct vm_report report = { .uuid = id,
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.def = { .name = (char *)"web", .custom = &custom, .n_custom = owner != NULL } };

	snprintf(id, sizeof(id), "%s", uuid);
	if (here)
		inventory_report_vm(f->inventory, inventory_mark(f->inventory), true, &report);
	else
		inventory_end_vm(f->inventory, id);
}

static struct kept *
open_stream_of(struct fixture *f, const struct caller *caller)
{
	struct kept *k = &f->kept[0];

	*k = (struct kept){ .req = { .send = kept_send,
				.stream = &kept_stream,
				.client = PROXY,
				.user = caller->user,
				.caller = caller,
				.last_event_id = "" } };
	event_streams_add(f->streams, &k->req);
	return k;
}

/* Of VMs that are not there for somebody, nothing is told, nor of what others do with them. */
static void
test_limited(void **state)
{
	static const struct caller alice = { .by = CALLER_TOKEN,
		.role = ROLE_VIEWER,
		.user = "token:alice",
		.only_name = "owner",
		.only_value = "alice" };
	static const char of_bob[] = "10000000-0000-4000-8000-000000000002";
	struct fixture *f = *state;
	struct kept *k = open_stream_of(f, &alice);

	report_vm(f, VM, "alice", true);
	report_vm(f, of_bob, "bob", true);
	operations_start(f->operations, "VmBoot", of_bob, HOST, "token:bob");
	operations_start(f->operations, "HostRepair", "", HOST, "uid:0");
	turn(f);
	assert_non_null(strstr(str_or_empty(k->out.data), VM));
	assert_null(strstr(k->out.data, of_bob));
	assert_null(strstr(k->out.data, "event: operation"));
	operations_start(f->operations, "VmPause", VM, HOST, "token:bob");
	operations_start(f->operations, "VmDelete", "", HOST, "token:alice");
	report_vm(f, of_bob, "bob", false);
	buffer_clear(&k->out);
	turn(f);
	assert_non_null(strstr(str_or_empty(k->out.data), "VmPause"));
	assert_non_null(strstr(k->out.data, "VmDelete"));
	assert_null(strstr(k->out.data, of_bob));
	/* That one of theirs is gone, they are told. */
	buffer_clear(&k->out);
	report_vm(f, VM, "alice", false);
	turn(f);
	assert_non_null(strstr(str_or_empty(k->out.data), "event: vm"));
}

/* Until within a second after their token is not good any more, and others go on. */
static void
test_token_ends(void **state)
{
	static const struct caller caller = {
		.by = CALLER_TOKEN, .role = ROLE_VIEWER, .user = "token:ci", .token_created = 7
	};
	static const struct caller user = {
		.by = CALLER_CERTIFICATE, .role = ROLE_VIEWER, .user = "user:ci", .token_created = 8
	};
	struct token_record record = {
		.token = { .name = (char *)"ci", .role = ROLE_VIEWER, .created = 7 },
		.hash = (char *)""
	};
	struct tokens *tokens = tokens_new();
	struct fixture *f = *state;
	struct kept *k, *other = open_stream(f, 1, "");
	int64_t end = monotonic_ms() + 6000;

	tokens_add(tokens, &record);
	event_streams_set_tokens(f->streams, tokens);
	k = open_stream_of(f, &caller);
	while (monotonic_ms() < end - 4500)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_false(k->ended);
	/* One of the same name is another one. */
	record.token.created = 8;
	tokens_add(tokens, &record);
	while (!k->ended && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(k->ended);
	assert_false(other->ended);
	/* Nor is that of a user with a certificate. */
	buffer_clear(&k->out);
	k = open_stream_of(f, &user);
	end = monotonic_ms() + 6000;
	tokens_drop(tokens, "ci");
	while (!k->ended && monotonic_ms() < end)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_true(k->ended);
	assert_false(other->ended);
	event_streams_set_tokens(f->streams, NULL);
	tokens_free(tokens);
}

static void
test_reset(void **state)
{
	static const char *const bad[] = { "x", "1-2", "-", "", "ffffffffffffffffffff-1", "7" };
	struct fixture *f = *state;
	_free_ char *old = id_text(f, 3), *ahead = id_text(f, EVENTS_MAX + 100);
	struct kept *k;

	make_operations(f, EVENTS_MAX + 10);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		k = open_stream(f, i, bad[i]);
		assert_non_null(strstr(k->out.data, "event: reset"));
	}
	k = open_stream(f, 10, old);
	assert_non_null(strstr(k->out.data, "event: reset"));
	k = open_stream(f, 11, ahead);
	assert_non_null(strstr(k->out.data, "event: reset"));
}

/* A slow reader gets no more until it has taken what it has; then all of it, in order. */
static void
test_slow(void **state)
{
	struct fixture *f = *state;
	struct kept *k = open_stream(f, 0, "");
	size_t before;

	k->unsent = 1 << 20;
	make_operations(f, 1);
	turn(f);
	before = k->out.len;
	make_operations(f, 100);
	turn(f);
	assert_int_equal(k->out.len, before);
	k->unsent = 0;
	k->req.watch->drained(k->req.watch_arg);
	turn(f);
	assert_non_null(strstr(k->out.data, "-101\nevent: operation"));
	/* One that the ring has passed is cut off. */
	k->unsent = 1 << 20;
	make_operations(f, 1);
	turn(f);
	make_operations(f, EVENTS_MAX + 1);
	turn(f);
	assert_true(k->ended);
	assert_int_equal(event_streams_count(f->streams), 0);
}

static void
test_bound(void **state)
{
	struct fixture *f = *state;
	struct kept *k;

	for (size_t i = 0; i < EVENT_STREAMS_MAX; i++)
		assert_int_equal(open_stream(f, i, "")->status, 200);
	k = open_stream(f, EVENT_STREAMS_MAX, "");
	assert_int_equal(k->status, 503);
	assert_true(k->replied);
}

/* One client has all of them; the proxy that both come by is nobody's share. */
static void
test_shares(void **state)
{
	static const struct caller other = { .role = ROLE_VIEWER, .from = "10.0.0.2" };
	struct fixture *f = *state;
	struct kept *k;

	for (size_t i = 0; i < EVENT_STREAMS_MAX; i++)
		assert_int_equal(open_stream(f, i, "")->status, 200);
	k = &f->kept[EVENT_STREAMS_MAX];
	*k = (struct kept){ .req = { .stream = &kept_stream, .client = PROXY, .caller = &other } };
	k->req.last_event_id = "";
	event_streams_add(f->streams, &k->req);
	assert_int_equal(k->status, 200);
	assert_false(k->ended);
	assert_true(f->kept[0].ended);
	for (size_t i = 1; i < EVENT_STREAMS_MAX; i++)
		assert_false(f->kept[i].ended);
	assert_int_equal(event_streams_count(f->streams), EVENT_STREAMS_MAX);
}

static void
test_head(void **state)
{
	struct fixture *f = *state;
	struct kept *k = &f->kept[0];

	*k = (struct kept){ .req = { .stream = &kept_stream,
				.client = PROXY,
				.caller = &somebody,
				.head = true } };
	event_streams_add(f->streams, &k->req);
	assert_true(k->ended);
	assert_int_equal(event_streams_count(f->streams), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filtered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
