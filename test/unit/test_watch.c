/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that read events: from the server's stream, and from serf. */
#include "verb_fixture.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/binary.h"
#include "proto/gossip.h"
#include "proto/sse.h"

#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

static const char events[] =
    STREAM ": hello\n\n"
	   "event: reset\nid: 1\ndata: {}\n\n"
	   "event: vm\nid: 2\ndata: {\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\","
	   "\"host\":\"h\",\"runstate\":5,\"ts\":1700000000000},\"reason\":\"a disk failed\"}\n\n"
	   "event: host\nid: 3\ndata: {\"uuid\":\"" HOST_UUID "\",\"maintenance\":true,\"fields\":"
	   "{\"name\":\"h1\",\"cstate\":1,\"memoryavailable\":512,\"ts\":1700000000000}}\n\n"
	   "event: operation\nid: 4\ndata: {\"id\":\"o\",\"op\":\"VmBoot\",\"vm\":\"v\","
	   "\"state\":\"started\",\"progress\":40,\"ts\":1700000000000}\n\n"
	   "event: operation\nid: 5\ndata: {\"id\":\"o\",\"op\":\"VmBoot\",\"vm\":\"v\","
	   "\"state\":\"failed\",\"progress\":40,\"ts\":1,\"te\":1700000001000,"
	   "\"msg\":\"no\\u0007 space\"}\n\n"
	   "event: later\nid: 6\ndata: {\"x\":1}\n\n";

/* What is no stream of events ends the command; else only a signal does. */
static char *
endless_line(void)
{
	struct buffer out = { 0 };

	buffer_printf(&out, "%sdata: ", STREAM);
	for (size_t i = 0; i <= SSE_EVENT_MAX / 16; i++)
		buffer_printf(&out, "0123456789abcdef");
	return buffer_steal(&out, NULL);
}

/* The server goes away behind the events, and is asked again for those after the last. */
static void
run_watch(struct verb_fixture *f, const char *line)
{
	_free_ char *endless = endless_line();

	verb_forget(f);
	verb_answer_raw(f, events);
	verb_answer_raw(f, endless);
	verb_fails(f, line, COMMAND_FAILED, "what the server sends are no events");
	assert_says(f->said, "; trying again\n");
	verb_asked(f, 0, "GET /events", "");
	assert_null(strstr(f->requests[0].head, "Last-Event-ID"));
	verb_asked(f, 1, "GET /events", "");
	assert_says(f->requests[1].head, "Last-Event-ID: 6\r\n");
}

static void
test_watch(void **state)
{
	struct verb_fixture *f = *state;

	run_watch(f, "watch");
	assert_says(f->out, " reset: changes before this are not told\n");
	assert_says(f->out,
	    "\n2023-11-14T22:13:20+0000 vm " VM_UUID " 'web' is paused on host h: a disk failed\n"
	    "2023-11-14T22:13:20+0000 host " HOST_UUID
	    " 'h1' is active (maintenance), memory available 512 MiB\n"
	    "2023-11-14T22:13:20+0000 operation o VmBoot of VM v: started, 40%\n"
	    "2023-11-14T22:13:21+0000 operation o VmBoot of VM v: failed: no? space\n"
	    "later {\"x\":1}\n");
}

static void
test_watch_json(void **state)
{
	struct verb_fixture *f = *state;

	run_watch(f, "watch -o json");
	assert_ptr_equal(
	    strstr(f->out, "{\"id\":\"1\",\"event\":\"reset\",\"data\":{}}\n"), f->out);
	assert_says(f->out, "\n{\"id\":\"6\",\"event\":\"later\",\"data\":{\"x\":1}}\n");
	assert_says(f->out, "\"msg\":\"no\\u0007 space\"");
}

static void
test_no_server_to_watch(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 503, "", "it starts");
	verb_fails(f, "watch", COMMAND_FAILED, "cannot watch: 503: it starts");
	assert_int_equal(f->n_requests, 1);
}

/* Runs decode-event as an agent does: the event's name (NULL for none) is in the environment, its
 * payload comes on standard input. */
static enum command_result
decode(struct verb_fixture *f, const char *name, const char *data, size_t len)
{
	int saved = dup(STDIN_FILENO), fd = memfd_create("payload", MFD_CLOEXEC);
	enum command_result result;

	assert_true(saved >= 0 && fd >= 0);
	assert_int_equal(write_all(fd, data, len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	dup2(fd, STDIN_FILENO);
	close(fd);
	if (name)
		setenv("SERF_USER_EVENT", name, 1);
	else
		unsetenv("SERF_USER_EVENT");
	result = verb_run(f, "decode-event");
	dup2(saved, STDIN_FILENO);
	close(saved);
	return result;
}

static void
test_decode_event(void **state)
{
	const struct vm_event event = {
		.uuid = (char *)VM_UUID, .host = (char *)HOST_UUID, .runstate = VMRUNSTATE_RUNNING
	};
	struct verb_fixture *f = *state;
	_buffer_ struct buffer payload = { 0 };

	assert_int_equal(binary_encode(&vm_event_model, &event, &payload), 0);
	assert_int_equal(decode(f, "VE", payload.data, payload.len), COMMAND_OK);
	assert_ptr_equal(strstr(f->out, "{\"event\":\"VE\",\""), f->out);
	assert_says(f->out, "\"" VM_UUID "\"");
	/* The agent adds a newline where there is none. */
	buffer_add(&payload, "\n", 1);
	assert_int_equal(decode(f, "VE", payload.data, payload.len), COMMAND_OK);
	buffer_add(&payload, "x", 1);
	assert_int_equal(decode(f, "VE", payload.data, payload.len), COMMAND_FAILED);
	assert_string_equal(f->err.detail, "the payload of event 'VE' has 2 bytes left over");
	assert_int_equal(decode(f, "VE", payload.data, 3), COMMAND_FAILED);
	assert_says(f->err.detail, "the payload of event 'VE': ");
}

static void
test_decode_tokens_event(void **state)
{
	const struct tokens_event event = { .host = (char *)HOST_UUID };
	struct verb_fixture *f = *state;
	_buffer_ struct buffer payload = { 0 };

	assert_int_equal(binary_encode(&tokens_event_model, &event, &payload), 0);
	assert_int_equal(decode(f, "TK", payload.data, payload.len), COMMAND_OK);
	assert_string_equal(f->out, "{\"event\":\"TK\",\"host\":\"" HOST_UUID "\"}\n");
}

static void
test_decode_other_events(void **state)
{
	struct verb_fixture *f = *state;

	assert_int_equal(decode(f, NULL, "", 0), COMMAND_USAGE);
	assert_says(f->err.detail, "SERF_USER_EVENT is not set");
	assert_int_equal(decode(f, "deploy", "", 0), COMMAND_FAILED);
	assert_string_equal(
	    f->err.detail, "event 'deploy' is none of virtxd's: HI, VI, VE and TK are");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_watch),
		TEST(test_watch_json),
		TEST(test_no_server_to_watch),
		TEST(test_decode_event),
		TEST(test_decode_tokens_event),
		TEST(test_decode_other_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
