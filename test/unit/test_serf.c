/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client against an agent that answers as it is told to, in the same loop. */
#include "serf/serf.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/log.h"
#include "serf_agent.h"

#define WAIT_S 60 /* for what is bound to come */

int64_t __real_monotonic_ms(void);
int64_t __wrap_monotonic_ms(void);

static int64_t late_ms;

int64_t
__wrap_monotonic_ms(void)
{
	return __real_monotonic_ms() + late_ms;
}

struct seen {
	char log[1024]; /* a word for each callback */
	int connected, disconnected, events, members;
	char why[256];
};

struct fixture {
	struct event_base *base;
	struct agent agent;
	struct seen seen;
	struct serf *serf;
};

static void
seen_add(struct seen *seen, const char *word)
{
	size_t len = strlen(seen->log);

	snprintf(seen->log + len, sizeof(seen->log) - len, "%s ", word);
}

static void
on_connected(void *arg)
{
	struct seen *seen = arg;

	seen->connected++;
	seen_add(seen, "connected");
}

static void
on_disconnected(void *arg, const char *why)
{
	struct seen *seen = arg;

	seen->disconnected++;
	snprintf(seen->why, sizeof(seen->why), "%s", why);
	seen_add(seen, "disconnected");
}

static void
on_member(void *arg, const struct serf_member *member)
{
	struct seen *seen = arg;
	char word[32];

	seen->members++;
	snprintf(
	    word, sizeof(word), "%s:%s", member->name, enum_word(&cstate_enum, member->cstate));
	seen_add(seen, word);
}

static void
on_event(void *arg, const char *name, const void *payload, size_t len, uint64_t ltime)
{
	struct seen *seen = arg;
	char word[64];

	seen->events++;
	snprintf(
	    word, sizeof(word), "%s(%.*s)@%d", name, (int)len, (const char *)payload, (int)ltime);
	seen_add(seen, word);
}

static const struct serf_ops ops = { on_connected, on_disconnected, on_member, on_event };

static void
on_too_long(evutil_socket_t fd, short what, void *arg)
{
	fail_msg("what should have happened did not");
}

/* Runs the loop until *count is at least n. */
static void
wait_for(struct fixture *fixture, const int *count, int n)
{
	struct event *timer = evtimer_new(fixture->base, on_too_long, NULL);
	struct timeval tv = { .tv_sec = WAIT_S };

	event_add(timer, &tv);
	while (*count < n)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	event_free(timer);
}

static void
start(struct fixture *fixture, const char *key, bool with_tags)
{
	const struct serf_tag tag = { (char[]){ "uuid" }, (char[]){ "u" } };

	fixture->serf = serf_new(fixture->base, "127.0.0.1", fixture->agent.port, key, 0, &tag,
	    with_tags, &ops, &fixture->seen);
}

static int
setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));

	log_init(LOG_LEVEL_ERROR, NULL);
	fixture->base = event_base_new();
	agent_start(&fixture->agent, fixture->base);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	serf_free(fixture->serf);
	agent_stop(&fixture->agent);
	event_base_free(fixture->base);
	free(fixture);
	return 0;
}

#define USER_EVENT                   \
	"\x84\xa5"                   \
	"Event\xa4user\xa5LTime\x07" \
	"\xa4Name\xa2VE\xa7Payload\xc4\x02hi"
#define MEMBER_FAILED                           \
	"\x82\xa5"                              \
	"Event\xadmember-failed\xa7Members\x91" \
	"\x82\xa4Name\xa2h1\xa6Status\xa5"      \
	"alive"

static void
run_flow(struct fixture *fixture)
{
	struct agent *agent = &fixture->agent;
	struct seen *seen = &fixture->seen;

	/* What the stream sends at once waits for the members. */
	agent->early = USER_EVENT;
	agent->early_len = sizeof(USER_EVENT) - 1;
	start(fixture, KEY, true);
	assert_false(serf_is_connected(fixture->serf));
	assert_string_equal(serf_why(fixture->serf), "not connected yet");
	assert_int_equal(serf_event(fixture->serf, "VE", "x", 1), -ENOTCONN);
	wait_for(fixture, &seen->events, 1);
	assert_true(serf_is_connected(fixture->serf));
	assert_string_equal(serf_why(fixture->serf), "");

	agent_emit(agent, OBJECT("\x81\xa5"
				 "Event\xa5query"));
	agent_emit(agent, OBJECT(MEMBER_FAILED));
	wait_for(fixture, &seen->members, 3);
	assert_string_equal(seen->log, "h1:active h2:failed connected VE(hi)@7 h1:failed ");
	wait_for(fixture, &agent->n_tags, 1);
}

static void
test_flow(void **state)
{
	run_flow(*state);
}

/* Each change is sent once, and what stands at a connect with the others. */
static void
test_set_tag(void **state)
{
	struct fixture *fixture = *state;
	const int *n_tags = &fixture->agent.n_tags;

	start(fixture, KEY, true);
	serf_set_tag(fixture->serf, "maintenance", "1");
	serf_set_tag(fixture->serf, "uuid", "u");
	wait_for(fixture, n_tags, 1);
	serf_set_tag(fixture->serf, "maintenance", "1");
	serf_set_tag(fixture->serf, "maintenance", NULL);
	wait_for(fixture, n_tags, 2);
	agent_hang_up(&fixture->agent);
	wait_for(fixture, n_tags, 3);
}

static void
on_left(void *arg)
{
	++*(int *)arg;
}

static void
test_leave_tags(void **state)
{
	static const char *const keys[] = { "virtx", "api" };
	struct fixture *fixture = *state;
	int left = 0;

	start(fixture, KEY, true);
	serf_leave_tags(fixture->serf, keys, ARRAY_SIZE(keys), on_left, &left);
	assert_int_equal(left, 1);
	wait_for(fixture, &fixture->agent.n_tags, 1);
	serf_leave_tags(fixture->serf, keys, ARRAY_SIZE(keys), on_left, &left);
	wait_for(fixture, &left, 2);
	assert_int_equal(fixture->agent.n_tags, 2);
	/* The agent goes before it answers. */
	fixture->agent.mute_tags = true;
	serf_leave_tags(fixture->serf, keys, ARRAY_SIZE(keys), on_left, &left);
	wait_for(fixture, &fixture->agent.n_tags, 3);
	assert_int_equal(left, 2);
	agent_hang_up(&fixture->agent);
	wait_for(fixture, &left, 3);
}

static bool
is_sending(const struct agent *agent)
{
	for (size_t i = 0; i < agent->n_peers; i++) {
		if (agent->peers[i].out.len > 0)
			return true;
	}
	return false;
}

/* A change that serf has swallowed is seen when the members are read again; what the stream has
 * meanwhile is the later. */
static void
test_read_members(void **state)
{
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	start(fixture, KEY, false);
	wait_for(fixture, &seen->connected, 1);
	serf_read_members(fixture->serf);
	late_ms = 5000;
	fixture->agent.holds_members = true;
	fixture->agent.members_peer = NULL;
	serf_read_members(fixture->serf);
	serf_read_members(fixture->serf);
	agent_emit(&fixture->agent, OBJECT(MEMBER_FAILED));
	/* It is there before the answer. */
	while (!fixture->agent.members_peer || is_sending(&fixture->agent))
		event_base_loop(fixture->base, EVLOOP_ONCE);
	for (unsigned int i = 0; i < 10; i++)
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	assert_int_equal(seen->members, 2);
	agent_answer_members(&fixture->agent);
	wait_for(fixture, &seen->members, 5);
	assert_string_equal(
	    seen->log, "h1:active h2:failed connected h1:active h2:failed h1:failed ");
	late_ms = 0;
}

/* Without any reason they are read each minute. */
static void
test_read_members_again(void **state)
{
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	start(fixture, KEY, false);
	wait_for(fixture, &seen->connected, 1);
	late_ms = 60000;
	wait_for(fixture, &seen->members, 4);
	assert_string_equal(seen->log, "h1:active h2:failed connected h1:active h2:failed ");
	late_ms = 0;
}

static void
test_flow_in_bytes(void **state)
{
	struct fixture *fixture = *state;

	fixture->agent.trickle = true;
	run_flow(fixture);
}

static void
test_reconnect(void **state)
{
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	fixture->agent.tags_error = "timeout waiting for update broadcast";
	start(fixture, KEY, true);
	wait_for(fixture, &fixture->agent.n_tags, 1);
	agent_hang_up(&fixture->agent);
	wait_for(fixture, &seen->disconnected, 1);
	assert_false(serf_is_connected(fixture->serf));
	assert_non_null(strstr(seen->why, " closed the connection"));
	assert_string_equal(serf_why(fixture->serf), seen->why);
	wait_for(fixture, &fixture->agent.n_tags, 2);
	assert_int_equal(seen->connected, 2);
	assert_int_equal(seen->disconnected, 1);
	assert_int_equal(seen->members, 4);
}

static void
test_key(void **state)
{
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	start(fixture, "wrong", false);
	wait_for(fixture, &seen->disconnected, 1);
	assert_non_null(strstr(seen->why, "rpc_auth refused: Invalid authentication token"));
	serf_free(fixture->serf);

	start(fixture, "", false);
	wait_for(fixture, &seen->disconnected, 2);
	assert_non_null(strstr(seen->why, "no rpc_auth key is set): Authentication required"));
	assert_int_equal(seen->connected, 0);
}

static void
test_nobody_there(void **state)
{
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;
	char expected[128];
	int n = 0;

	/* A port that is taken, and not listened at. */
	event_del(fixture->agent.acceptable);
	assert_int_equal(shutdown(fixture->agent.fd, SHUT_RDWR), 0);
	start(fixture, KEY, false);
	wait_for(fixture, &seen->disconnected, 1);
	snprintf(expected, sizeof(expected),
	    "serf at 127.0.0.1 port %d cannot be reached: Connection refused", fixture->agent.port);
	assert_string_equal(seen->why, expected);
	/* Trying again is not news. */
	while (n++ < 10)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	assert_int_equal(seen->disconnected, 1);
	serf_free(fixture->serf);

	fixture->serf =
	    serf_new(fixture->base, "localhost", 7373, KEY, 0, NULL, 0, &ops, &fixture->seen);
	wait_for(fixture, &seen->disconnected, 2);
	assert_string_equal(
	    seen->why, "serf at localhost port 7373 cannot be reached: Invalid argument");
}

static void
test_events(void **state)
{
	struct fixture *fixture = *state;
	struct agent *agent = &fixture->agent;
	char payload[SERF_PAYLOAD_MAX] = { 0 };
	struct peer *peer = NULL;
	int i, rc;

	agent->mute = true;
	start(fixture, KEY, false);
	wait_for(fixture, &fixture->seen.connected, 1);
	assert_int_equal(serf_event(fixture->serf, "VE", payload, sizeof(payload) - 1), -EMSGSIZE);
	for (i = 0; i < 256; i++)
		assert_int_equal(serf_event(fixture->serf, "VE", payload, sizeof(payload) - 2), 0);
	assert_int_equal(serf_event(fixture->serf, "VE", "x", 1), -EAGAIN);
	wait_for(fixture, &agent->n_events, 256);

	/* An answer makes room for one, be it good or bad. */
	for (size_t p = 0; p < agent->n_peers; p++) {
		if (!agent->peers[p].streams)
			peer = &agent->peers[p];
	}
	assert_non_null(peer);
	peer_answer(peer, agent->event_seqs[0], "");
	peer_answer(peer, agent->event_seqs[1], "user event exceeds limit");
	for (i = 0; i < 2; i++) {
		while ((rc = serf_event(fixture->serf, "HI", "", 0)) == -EAGAIN)
			event_base_loop(fixture->base, EVLOOP_ONCE);
		assert_int_equal(rc, 0);
	}
	assert_int_equal(serf_event(fixture->serf, "VE", "x", 1), -EAGAIN);
	wait_for(fixture, &agent->n_events, 258);
	assert_int_equal(fixture->seen.disconnected, 0);

	/* An answer out of order is none. */
	peer_answer(peer, agent->event_seqs[3], "");
	wait_for(fixture, &fixture->seen.disconnected, 1);
	assert_non_null(strstr(fixture->seen.why, "nobody asked for"));
}

/* One at a time, and a refusal harms nothing. */
static void
test_join(void **state)
{
	struct fixture *fixture = *state;
	int rc;

	start(fixture, KEY, false);
	assert_int_equal(serf_join(fixture->serf, "10.0.0.1", 7946), -ENOTCONN);
	wait_for(fixture, &fixture->seen.connected, 1);
	for (int i = 1; i <= 2; i++) {
		while ((rc = serf_join(fixture->serf, "10.0.0.1", 7946)) == -EBUSY)
			event_base_loop(fixture->base, EVLOOP_ONCE);
		assert_int_equal(rc, 0);
		assert_int_equal(serf_join(fixture->serf, "10.0.0.1", 7946), -EBUSY);
		wait_for(fixture, &fixture->agent.n_joins, i);
	}
	assert_int_equal(serf_event(fixture->serf, "VE", "x", 1), 0);
	wait_for(fixture, &fixture->agent.n_events, 1);
	assert_int_equal(fixture->seen.disconnected, 0);
}

static void
test_nonsense(void **state)
{
	/* The numbers of requests begin at 1: handshake, auth, members. */
	static const struct {
		const char *data;
		size_t len;
	} answers[] = {
		{ OBJECT("\xc1") },
		{ OBJECT("\xdd\xff\xff\xff\xff") },
		{ OBJECT("\xdb\x7f\xff\xff\xff") },
		{ OBJECT("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91") },
		{ OBJECT("HTTP/1.1 400 Bad Request\r\n") },
		{ OBJECT("\x80") },
		{ OBJECT("\x82\xa3Seq\xa1"
			 "3\xa5"
			 "Error\xa0") },
		{ OBJECT("\x82\xa3Seq\x09\xa5"
			 "Error\xa0") },
		{ OBJECT("\x82\xa3Seq\x03\xa5"
			 "Error\xa2no") },
		{ OBJECT("\x82\xa3Seq\x03\xa5"
			 "Error\xa0\xc0") },
		{ OBJECT("\x82\xa3Seq\x03\xa5"
			 "Error\xa0\x81\xa7Members\x91\xc0") },
		{ OBJECT("\x82\xa3Seq\x03\xa5"
			 "Error\xa0\x81\xa7Members\x91\x81\xa4Name\x01") },
	};
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		seen->disconnected = 0;
		fixture->agent.script = answers[i].data;
		fixture->agent.script_len = answers[i].len;
		start(fixture, KEY, false);
		wait_for(fixture, &seen->disconnected, 1);
		assert_int_equal(seen->connected, 0);
		serf_free(steal_ptr(fixture->serf));
		agent_hang_up(&fixture->agent);
	}
}

static void
test_nonsense_on_stream(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} records[] = {
		{ OBJECT("\xc0") },
		{ OBJECT("\x80") },
		{ OBJECT("\x81\xa5"
			 "Event\x01") },
		{ OBJECT("\x81\xa5"
			 "Event\xa4user") },
		{ OBJECT("\x81\xa5"
			 "Event\xabmember-join") },
	};
	struct fixture *fixture = *state;
	struct seen *seen = &fixture->seen;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		seen->connected = seen->disconnected = 0;
		start(fixture, KEY, false);
		wait_for(fixture, &seen->connected, 1);
		agent_emit(&fixture->agent, records[i].data, records[i].len);
		wait_for(fixture, &seen->disconnected, 1);
		assert_non_null(strstr(seen->why, "sent an event that cannot be read"));
		serf_free(steal_ptr(fixture->serf));
		agent_hang_up(&fixture->agent);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_in_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_tag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_members, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_members_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reconnect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense_on_stream, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
