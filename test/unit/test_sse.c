/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct kept {
	struct buffer text;
	unsigned int n, stop_at;
};

static bool
keep(void *arg, const struct sse_event *event)
{
	struct kept *k = arg;

	buffer_printf(&k->text, "[%s|%s|%s]", event->id, event->type, event->data);
	return ++k->n != k->stop_at;
}

static const char stream[] = "retry: 1000\nid: a-1\nevent: reset\ndata: {}\n\n"
			     ": a comment\n\n"
			     "id: a-2\r\nevent:vm\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\n"
			     "data: no type\n\n"
			     "event: no data\n\n"
			     "unknown\nid: a-3\nevent: host\ndata: y\n\nevent: cut";
static const char wanted[] = "[a-1|reset|{}][a-2|vm|{\"x\":\n1}][a-2|message|no type][a-3|host|y]";

/* However it is cut into pieces. */
static void
test_pieces(void **state)
{
	for (size_t size = 1; size < sizeof(stream); size++) {
		struct kept k = { 0 };
		struct sse sse = { 0 };

		for (size_t at = 0; at < strlen(stream); at += size) {
			size_t len = strlen(stream) - at < size ? strlen(stream) - at : size;

			assert_true(sse_feed(&sse, stream + at, len, keep, &k));
		}
		assert_string_equal(k.text.data, wanted);
		/* The cut one is dropped, the id stays. */
		sse_restart(&sse);
		assert_string_equal(sse.id, "a-3");
		buffer_clear(&k.text);
		assert_true(sse_feed(&sse, "data: z\n\n", 9, keep, &k));
		assert_string_equal(k.text.data, "[a-3|message|z]");
		sse_clear(&sse);
		buffer_clear(&k.text);
	}
}

static void
test_stop(void **state)
{
	struct kept k = { .stop_at = 2 };
	struct sse sse = { 0 };

	assert_false(sse_feed(&sse, stream, strlen(stream), keep, &k));
	assert_int_equal(k.n, 2);
	sse_clear(&sse);
	buffer_clear(&k.text);
}

static void
test_bounds(void **state)
{
	struct kept k = { 0 };
	struct sse sse = { 0 };
	static char big[SSE_EVENT_MAX + 1];

	memset(big, 'x', sizeof(big));
	assert_false(sse_feed(&sse, big, sizeof(big), keep, &k));
	sse_clear(&sse);
	memcpy(big, "data:", 5);
	big[sizeof(big) / 2] = '\n';
	assert_true(sse_feed(&sse, big, sizeof(big) / 2 + 1, keep, &k));
	assert_true(sse_feed(&sse, big, sizeof(big) / 2 + 1, keep, &k));
	assert_false(sse_feed(&sse, big, sizeof(big) / 2 + 1, keep, &k));
	assert_int_equal(k.n, 0);
	sse_clear(&sse);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
