/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only user of msgpack. */
#include "serf/rpc.h"

#include <arpa/inet.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 16

/* What the first byte of an object says about it. */
struct shape {
	unsigned int length_bytes; /* of the number that follows */
	uint64_t extra;		   /* bytes after that, besides those that the number counts */
	unsigned int children;	   /* objects for each that the number counts: 0 counts bytes */
	uint64_t count;		   /* where the first byte has the number in it */
};

/* false for the one byte that begins nothing. */
static bool
shape_of(uint8_t byte, struct shape *ret)
{
	static const struct shape shapes[] = {
		[0xc0 - 0xc0] = { 0 },		       /* nil */
		[0xc2 - 0xc0] = { 0 },		       /* false */
		[0xc3 - 0xc0] = { 0 },		       /* true */
		[0xc4 - 0xc0] = { .length_bytes = 1 }, /* bin */
		[0xc5 - 0xc0] = { .length_bytes = 2 },
		[0xc6 - 0xc0] = { .length_bytes = 4 },
		[0xc7 - 0xc0] = { .length_bytes = 1, .extra = 1 }, /* ext: and its type */
		[0xc8 - 0xc0] = { .length_bytes = 2, .extra = 1 },
		[0xc9 - 0xc0] = { .length_bytes = 4, .extra = 1 },
		[0xca - 0xc0] = { .extra = 4 }, /* float */
		[0xcb - 0xc0] = { .extra = 8 },
		[0xcc - 0xc0] = { .extra = 1 }, /* unsigned */
		[0xcd - 0xc0] = { .extra = 2 },
		[0xce - 0xc0] = { .extra = 4 },
		[0xcf - 0xc0] = { .extra = 8 },
		[0xd0 - 0xc0] = { .extra = 1 }, /* signed */
		[0xd1 - 0xc0] = { .extra = 2 },
		[0xd2 - 0xc0] = { .extra = 4 },
		[0xd3 - 0xc0] = { .extra = 8 },
		[0xd4 - 0xc0] = { .extra = 2 }, /* ext of 1 to 16 bytes */
		[0xd5 - 0xc0] = { .extra = 3 },
		[0xd6 - 0xc0] = { .extra = 5 },
		[0xd7 - 0xc0] = { .extra = 9 },
		[0xd8 - 0xc0] = { .extra = 17 },
		[0xd9 - 0xc0] = { .length_bytes = 1 }, /* str */
		[0xda - 0xc0] = { .length_bytes = 2 },
		[0xdb - 0xc0] = { .length_bytes = 4 },
		[0xdc - 0xc0] = { .length_bytes = 2, .children = 1 }, /* array */
		[0xdd - 0xc0] = { .length_bytes = 4, .children = 1 },
		[0xde - 0xc0] = { .length_bytes = 2, .children = 2 }, /* map */
		[0xdf - 0xc0] = { .length_bytes = 4, .children = 2 },
	};

	*ret = (struct shape){ 0 };
	if (byte == 0xc1)
		return false;
	if (byte >= 0xc0 && byte <= 0xdf)
		*ret = shapes[byte - 0xc0];
	else if (byte >= 0xa0 && byte <= 0xbf)
		ret->count = byte & 0x1f;
	else if (byte >= 0x90 && byte <= 0x9f)
		*ret = (struct shape){ .children = 1, .count = byte & 0x0f };
	else if (byte >= 0x80 && byte <= 0x8f)
		*ret = (struct shape){ .children = 2, .count = byte & 0x0f };
	return true;
}

long
rpc_scan(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t left[DEPTH_MAX]; /* objects still to come at each depth */
	unsigned int depth = 0;
	struct shape shape;
	uint64_t pos = 0;

	left[0] = 1;
	for (;;) {
		while (left[depth] == 0) {
			if (depth == 0)
				return (long)pos;
			depth--;
		}
		left[depth]--;
		if (pos >= len)
			return 0;
		if (!shape_of(bytes[pos++], &shape))
			return -1;
		if (pos + shape.length_bytes > len)
			return 0;
		for (unsigned int i = 0; i < shape.length_bytes; i++)
			shape.count = shape.count << 8 | bytes[pos++];

		pos += shape.extra;
		if (shape.children == 0)
			pos += shape.count;
		if (pos + shape.children * shape.count > RPC_OBJECT_MAX)
			return -1;
		if (pos > len)
			return 0;
		if (shape.children > 0) {
			if (++depth == DEPTH_MAX)
				return -1;
			left[depth] = shape.children * shape.count;
		}
	}
}

static void
unpacked_done(msgpack_unpacked *unpacked)
{
	msgpack_unpacked_destroy(unpacked);
}

#define _unpacked_ __attribute__((cleanup(unpacked_done)))

/* Reads a map, NULL for anything else. */
static const msgpack_object_map *
read_map(msgpack_unpacked *unpacked, const void *data, size_t len)
{
	size_t used = 0;

	msgpack_unpacked_init(unpacked);
	if (msgpack_unpack_next(unpacked, data, len, &used) != MSGPACK_UNPACK_SUCCESS)
		return NULL;
	return unpacked->data.type == MSGPACK_OBJECT_MAP ? &unpacked->data.via.map : NULL;
}

/* The bytes of a string, which some senders write as binary; false for other objects. */
static bool
get_bytes(const msgpack_object *object, const char **ret, size_t *len)
{
	if (object->type == MSGPACK_OBJECT_STR) {
		*ret = object->via.str.ptr;
		*len = object->via.str.size;
	} else if (object->type == MSGPACK_OBJECT_BIN) {
		*ret = object->via.bin.ptr;
		*len = object->via.bin.size;
	} else {
		return false;
	}
	return true;
}

/* The value of a key, NULL where there is none; of a doubled key the first. */
static const msgpack_object *
get(const msgpack_object_map *map, const char *key)
{
	const char *bytes;
	size_t len;

	for (uint32_t i = 0; i < map->size; i++) {
		if (get_bytes(&map->ptr[i].key, &bytes, &len) && len == strlen(key) &&
		    memcmp(bytes, key, len) == 0)
			return &map->ptr[i].val;
	}
	return NULL;
}

/* A copy of a string; NULL when there is none. */
static char *
get_text(const msgpack_object_map *map, const char *key)
{
	const msgpack_object *object = get(map, key);
	const char *bytes;
	size_t len;

	return object && get_bytes(object, &bytes, &len) ? xstrndup(bytes, len) : NULL;
}

static bool
get_number(const msgpack_object_map *map, const char *key, uint64_t max, uint64_t *ret)
{
	const msgpack_object *object = get(map, key);

	if (!object || object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > max)
		return false;
	*ret = object->via.u64;
	return true;
}

int
rpc_read_header(const void *data, size_t len, struct rpc_header *ret)
{
	_unpacked_ msgpack_unpacked unpacked;
	const msgpack_object_map *map = read_map(&unpacked, data, len);
	_free_ char *error = NULL;

	*ret = (struct rpc_header){ 0 };
	if (!map || !get_number(map, "Seq", UINT64_MAX, &ret->seq))
		return -1;
	error = get_text(map, "Error");
	if (!error)
		return -1;
	snprintf(ret->error, sizeof(ret->error), "%s", error);
	return 0;
}

/* "" for what is no address. */
static void
read_addr(const msgpack_object_map *map, char *ret, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const msgpack_object *object = get(map, "Addr");
	const char *bytes;
	size_t len;

	ret[0] = '\0';
	if (!object || !get_bytes(object, &bytes, &len))
		return;
	if (len == 16 && memcmp(bytes, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, bytes + sizeof(mapped), ret, (socklen_t)size);
	else if (len == 16)
		inet_ntop(AF_INET6, bytes, ret, (socklen_t)size);
	else if (len == 4)
		inet_ntop(AF_INET, bytes, ret, (socklen_t)size);
}

static enum cstate
cstate_of(const char *status)
{
	if (str_equal(status, "alive"))
		return CSTATE_ACTIVE;
	if (str_equal(status, "left") || str_equal(status, "leaving"))
		return CSTATE_LEFT;
	return CSTATE_FAILED;
}

static int
read_member(const msgpack_object *object, struct serf_member *ret)
{
	const msgpack_object *tags;
	_free_ char *status = NULL;
	const char *key, *value;
	size_t key_len, value_len;
	struct serf_tag *tag;
	uint64_t port = 0;

	if (object->type != MSGPACK_OBJECT_MAP)
		return -1;
	ret->name = get_text(&object->via.map, "Name");
	if (!ret->name)
		return -1;
	read_addr(&object->via.map, ret->addr, sizeof(ret->addr));
	get_number(&object->via.map, "Port", UINT16_MAX, &port);
	ret->port = (uint16_t)port;
	status = get_text(&object->via.map, "Status");
	ret->cstate = cstate_of(status);

	tags = get(&object->via.map, "Tags");
	if (!tags || tags->type != MSGPACK_OBJECT_MAP)
		return 0;
	for (uint32_t i = 0; i < tags->via.map.size; i++) {
		if (!get_bytes(&tags->via.map.ptr[i].key, &key, &key_len) ||
		    !get_bytes(&tags->via.map.ptr[i].val, &value, &value_len))
			continue;
		tag = model_append(&ret->tags, &ret->n_tags);
		tag->key = xstrndup(key, key_len);
		tag->value = xstrndup(value, value_len);
	}
	return 0;
}

static int
read_members(const msgpack_object_map *map, struct serf_member **ret, size_t *n)
{
	const msgpack_object *list = get(map, "Members");

	*ret = NULL;
	*n = 0;
	if (!list || list->type != MSGPACK_OBJECT_ARRAY)
		return list && list->type == MSGPACK_OBJECT_NIL ? 0 : -1;
	for (uint32_t i = 0; i < list->via.array.size; i++) {
		if (read_member(&list->via.array.ptr[i], model_append(ret, n)) < 0) {
			rpc_members_free(*ret, *n);
			*ret = NULL;
			*n = 0;
			return -1;
		}
	}
	return 0;
}

int
rpc_read_members(const void *data, size_t len, struct serf_member **ret, size_t *n)
{
	_unpacked_ msgpack_unpacked unpacked;
	const msgpack_object_map *map = read_map(&unpacked, data, len);

	*ret = NULL;
	*n = 0;
	return map ? read_members(map, ret, n) : -1;
}

static int
read_user(const msgpack_object_map *map, struct rpc_record *ret)
{
	const msgpack_object *payload = get(map, "Payload");
	const char *bytes = NULL;
	size_t len = 0;

	ret->name = get_text(map, "Name");
	if (!ret->name || !get_number(map, "LTime", UINT64_MAX, &ret->ltime))
		return -1;
	if (!payload || (payload->type != MSGPACK_OBJECT_NIL && !get_bytes(payload, &bytes, &len)))
		return -1;
	ret->payload = xcalloc(1, len + 1);
	ret->payload_len = len;
	if (len > 0)
		memcpy(ret->payload, bytes, len);
	return 0;
}

int
rpc_read_record(const void *data, size_t len, struct rpc_record *ret)
{
	static const struct {
		const char *event;
		enum cstate cstate;
	} rows[] = {
		{ "member-join", CSTATE_ACTIVE },
		{ "member-update", CSTATE_ACTIVE },
		{ "member-leave", CSTATE_LEFT },
		{ "member-failed", CSTATE_FAILED },
		{ "member-reap", CSTATE_FAILED },
	};
	_unpacked_ msgpack_unpacked unpacked;
	const msgpack_object_map *map = read_map(&unpacked, data, len);
	_free_ char *event = map ? get_text(map, "Event") : NULL;
	int rc = 0;

	*ret = (struct rpc_record){ 0 };
	if (!event)
		return -1;
	if (strcmp(event, "user") == 0) {
		ret->kind = RPC_RECORD_USER;
		rc = read_user(map, ret);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(event, rows[i].event) != 0)
			continue;
		ret->kind = RPC_RECORD_MEMBERS;
		rc = read_members(map, &ret->members, &ret->n_members);
		for (size_t n = 0; n < ret->n_members; n++)
			ret->members[n].cstate = rows[i].cstate;
	}
	if (rc < 0)
		rpc_record_clear(ret);
	return rc;
}

void
rpc_members_free(struct serf_member *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t t = 0; t < members[i].n_tags; t++) {
			free(members[i].tags[t].key);
			free(members[i].tags[t].value);
		}
		free(members[i].tags);
		free(members[i].name);
	}
	free(members);
}

void
rpc_record_clear(struct rpc_record *record)
{
	rpc_members_free(record->members, record->n_members);
	free(record->name);
	free(record->payload);
	*record = (struct rpc_record){ 0 };
}

static int
buffer_write(void *arg, const char *data, size_t len)
{
	buffer_add(arg, data, len);
	return 0;
}

static void
pack_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

/* The header; the packer goes on with the body. */
static void
pack_header(msgpack_packer *packer, struct buffer *out, const char *command, uint64_t seq)
{
	msgpack_packer_init(packer, out, buffer_write);
	msgpack_pack_map(packer, 2);
	pack_text(packer, "Command");
	pack_text(packer, command);
	pack_text(packer, "Seq");
	msgpack_pack_uint64(packer, seq);
}

void
rpc_write_command(struct buffer *out, const char *command, uint64_t seq)
{
	msgpack_packer packer;

	pack_header(&packer, out, command, seq);
}

void
rpc_write_handshake(struct buffer *out, uint64_t seq)
{
	msgpack_packer packer;

	pack_header(&packer, out, "handshake", seq);
	msgpack_pack_map(&packer, 1);
	pack_text(&packer, "Version");
	msgpack_pack_int(&packer, 1);
}

void
rpc_write_auth(struct buffer *out, uint64_t seq, const char *key)
{
	msgpack_packer packer;

	pack_header(&packer, out, "auth", seq);
	msgpack_pack_map(&packer, 1);
	pack_text(&packer, "AuthKey");
	pack_text(&packer, key);
}

void
rpc_write_stream(struct buffer *out, uint64_t seq)
{
	msgpack_packer packer;

	pack_header(&packer, out, "stream", seq);
	msgpack_pack_map(&packer, 1);
	pack_text(&packer, "Type");
	pack_text(&packer, "*");
}

void
rpc_write_tags(struct buffer *out, uint64_t seq, const struct serf_tag *tags, size_t n)
{
	msgpack_packer packer;
	size_t n_set = 0;

	for (size_t i = 0; i < n; i++)
		n_set += tags[i].value != NULL;
	pack_header(&packer, out, "tags", seq);
	msgpack_pack_map(&packer, 2);
	pack_text(&packer, "Tags");
	msgpack_pack_map(&packer, n_set);
	for (size_t i = 0; i < n; i++) {
		if (!tags[i].value)
			continue;
		pack_text(&packer, tags[i].key);
		pack_text(&packer, tags[i].value);
	}
	pack_text(&packer, "DeleteTags");
	msgpack_pack_array(&packer, n - n_set);
	for (size_t i = 0; i < n; i++) {
		if (!tags[i].value)
			pack_text(&packer, tags[i].key);
	}
}

void
rpc_write_join(struct buffer *out, uint64_t seq, const char *addr, uint16_t port)
{
	_free_ char *target = xasprintf(strchr(addr, ':') ? "[%s]:%d" : "%s:%d", addr, port);
	msgpack_packer packer;

	pack_header(&packer, out, "join", seq);
	msgpack_pack_map(&packer, 2);
	pack_text(&packer, "Existing");
	msgpack_pack_array(&packer, 1);
	pack_text(&packer, target);
	pack_text(&packer, "Replay");
	msgpack_pack_false(&packer);
}

void
rpc_write_event(struct buffer *out, uint64_t seq, const char *name, const void *payload, size_t len)
{
	msgpack_packer packer;

	pack_header(&packer, out, "event", seq);
	msgpack_pack_map(&packer, 3);
	pack_text(&packer, "Name");
	pack_text(&packer, name);
	pack_text(&packer, "Payload");
	msgpack_pack_bin(&packer, len);
	msgpack_pack_bin_body(&packer, payload, len);
	pack_text(&packer, "Coalesce");
	msgpack_pack_false(&packer);
}
