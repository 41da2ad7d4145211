/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf_agent.h"

#include <arpa/inet.h>
#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "serf/rpc.h"

static void
peer_close(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	event_free(peer->readable);
	event_free(peer->writable);
	util_close(&peer->fd);
	peer->fd = -1;
	buffer_clear(&peer->in);
	buffer_clear(&peer->out);
	peer->streams = false;
}

static void
peer_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	size_t len = peer->agent->trickle && peer->out.len > 1 ? 1 : peer->out.len;
	ssize_t n = send(fd, peer->out.data, len, MSG_NOSIGNAL);

	if (n <= 0) {
		peer_close(peer);
		return;
	}
	memmove(peer->out.data, peer->out.data + n, peer->out.len - (size_t)n);
	peer->out.len -= (size_t)n;
	if (peer->out.len > 0)
		event_add(peer->writable, NULL);
}

static void
peer_send(struct peer *peer, const char *data, size_t len)
{
	buffer_add(&peer->out, data, len);
	event_add(peer->writable, NULL);
}

void
peer_answer(struct peer *peer, uint64_t seq, const char *error)
{
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, 2);
	msgpack_pack_str_with_body(&packer, "Seq", 3);
	msgpack_pack_uint64(&packer, seq);
	msgpack_pack_str_with_body(&packer, "Error", 5);
	msgpack_pack_str_with_body(&packer, error, strlen(error));
	peer_send(peer, out.data, out.size);
	msgpack_sbuffer_destroy(&out);
}

void
agent_emit(struct agent *agent, const char *body, size_t len)
{
	for (size_t i = 0; i < agent->n_peers; i++) {
		if (agent->peers[i].fd < 0 || !agent->peers[i].streams)
			continue;
		peer_answer(&agent->peers[i], agent->peers[i].stream_seq, "");
		peer_send(&agent->peers[i], body, len);
	}
}

void
agent_answer_members(struct agent *agent)
{
	struct peer *peer = agent->members_peer;

	if (agent->script) {
		peer_send(peer, agent->script, agent->script_len);
		return;
	}
	peer_answer(peer, agent->members_seq, "");
	peer_send(peer, OBJECT("\x81\xa7Members\x92"
			       "\x82\xa4Name\xa2h1\xa6Status\xa5"
			       "alive"
			       "\x82\xa4Name\xa2h2\xa6Status\xa6"
			       "failed"));
}

static bool
text_is(const msgpack_object *object, const char *text)
{
	return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
	       memcmp(object->via.str.ptr, text, strlen(text)) == 0;
}

/* One request, with its body where it has one; false when not all of it is there. */
static bool
peer_take(struct peer *peer)
{
	static const char *const without_body[] = { "members", "stats" };
	struct agent *agent = peer->agent;
	size_t head, body = 0, used = 0;
	msgpack_unpacked object, args;
	msgpack_object command = { 0 };
	bool has_body = true;
	uint64_t seq = 0;
	long n = rpc_scan(peer->in.data ? peer->in.data : "", peer->in.len);

	assert_true(n >= 0);
	if (n == 0)
		return false;
	head = (size_t)n;
	msgpack_unpacked_init(&object);
	msgpack_unpacked_init(&args);
	assert_int_equal(
	    msgpack_unpack_next(&object, peer->in.data, head, &used), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(object.data.type, MSGPACK_OBJECT_MAP);
	for (uint32_t i = 0; i < object.data.via.map.size; i++) {
		const msgpack_object_kv *pair = &object.data.via.map.ptr[i];

		if (text_is(&pair->key, "Command"))
			command = pair->val;
		else if (text_is(&pair->key, "Seq"))
			seq = pair->val.via.u64;
	}
	for (size_t i = 0; i < ARRAY_SIZE(without_body); i++)
		has_body = has_body && !text_is(&command, without_body[i]);
	if (has_body) {
		n = rpc_scan(peer->in.data + head, peer->in.len - head);
		assert_true(n >= 0);
		body = (size_t)n;
		used = 0;
		if (n > 0)
			assert_int_equal(
			    msgpack_unpack_next(&args, peer->in.data + head, body, &used),
			    MSGPACK_UNPACK_SUCCESS);
	}
	if (has_body && body == 0) {
		msgpack_unpacked_destroy(&object);
		msgpack_unpacked_destroy(&args);
		return false;
	}

	if (text_is(&command, "handshake")) {
		peer_answer(peer, seq, "");
	} else if (text_is(&command, "auth")) {
		peer->authorized = text_is(&args.data.via.map.ptr[0].val, KEY);
		peer_answer(peer, seq, peer->authorized ? "" : "Invalid authentication token");
	} else if (!peer->authorized) {
		peer_answer(peer, seq, "Authentication required");
	} else if (text_is(&command, "stream")) {
		peer_answer(peer, seq, "");
		peer->streams = true;
		peer->stream_seq = seq;
		if (agent->early)
			agent_emit(agent, agent->early, agent->early_len);
	} else if (text_is(&command, "members")) {
		agent->members_peer = peer;
		agent->members_seq = seq;
		if (!agent->holds_members)
			agent_answer_members(agent);
	} else if (text_is(&command, "stats")) {
		peer_answer(peer, seq, "");
		peer_send(peer, OBJECT("\x80"));
	} else if (text_is(&command, "tags")) {
		agent->n_tags++;
		if (!agent->mute_tags)
			peer_answer(peer, seq, agent->tags_error ? agent->tags_error : "");
	} else if (text_is(&command, "join")) {
		/* A refusal has its body, too. */
		agent->n_joins++;
		peer_answer(peer, seq, agent->n_joins == 1 ? "connection refused" : "");
		peer_send(peer, OBJECT("\x81\xa3Num\x01"));
	} else if (text_is(&command, "event")) {
		assert_in_range(agent->n_events, 0, ARRAY_SIZE(agent->event_seqs) - 1);
		agent->event_seqs[agent->n_events++] = seq;
		if (!agent->mute)
			peer_answer(peer, seq, "");
	} else {
		fail_msg("an unknown command");
	}
	msgpack_unpacked_destroy(&object);
	msgpack_unpacked_destroy(&args);
	peer->in.len -= head + body;
	memmove(peer->in.data, peer->in.data + head + body, peer->in.len);
	return true;
}

static void
peer_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	char chunk[65536];
	ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

	if (n <= 0) {
		peer_close(peer);
		return;
	}
	buffer_add(&peer->in, chunk, (size_t)n);
	while (peer_take(peer))
		continue;
}

static void
agent_on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct event_base *base;
	struct agent *agent = arg;
	struct peer *peer = &agent->peers[agent->n_peers++];

	assert_in_range(agent->n_peers, 1, ARRAY_SIZE(agent->peers));
	base = event_get_base(agent->acceptable);
	peer->agent = agent;
	peer->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(peer->fd >= 0);
	peer->readable = event_new(base, peer->fd, EV_READ | EV_PERSIST, peer_on_readable, peer);
	peer->writable = event_new(base, peer->fd, EV_WRITE, peer_on_writable, peer);
	event_add(peer->readable, NULL);
}

void
agent_start(struct agent *agent, struct event_base *base)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t size = sizeof(sa);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	agent->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(agent->fd >= 0);
	assert_int_equal(bind(agent->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(agent->fd, 16), 0);
	assert_int_equal(getsockname(agent->fd, (struct sockaddr *)&sa, &size), 0);
	agent->port = ntohs(sa.sin_port);
	agent->acceptable =
	    event_new(base, agent->fd, EV_READ | EV_PERSIST, agent_on_acceptable, agent);
	event_add(agent->acceptable, NULL);
}

void
agent_hang_up(struct agent *agent)
{
	for (size_t i = 0; i < agent->n_peers; i++)
		peer_close(&agent->peers[i]);
	agent->n_peers = 0;
}

void
agent_stop(struct agent *agent)
{
	agent_hang_up(agent);
	event_free(agent->acceptable);
	close(agent->fd);
}
