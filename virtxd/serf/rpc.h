/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of serf's RPC: msgpack objects back to back, read from and written to memory. A
 * request is a header and, for most commands, a body; so is an answer and what the stream sends.
 */
#ifndef SERF_RPC_H
#define SERF_RPC_H

#include "proto/error.h"
#include "proto/util.h"
#include "serf/member.h"

#define RPC_OBJECT_MAX (1 << 20) /* bytes of one incoming object */

struct rpc_header {
	uint64_t seq;
	char error[256]; /* "" for success; cut to fit */
};

enum rpc_record_kind {
	RPC_RECORD_OTHER, /* of no interest here, such as a query */
	RPC_RECORD_USER,
	RPC_RECORD_MEMBERS,
};

/* What comes on the stream. Start with zero, end with rpc_record_clear. */
struct rpc_record {
	enum rpc_record_kind kind;
	char *name;
	char *payload;
	size_t payload_len;
	uint64_t ltime;
	struct serf_member *members;
	size_t n_members;
};

/*
 * The size of the object at the front of data: 0 when it is not all there yet, -1 when it never
 * will be: no msgpack, nested too deep, larger than RPC_OBJECT_MAX. Nothing is allocated, so this
 * comes before anything that believes the counts in there.
 */
long rpc_scan(const void *data, size_t len);

/* Read the object that is the whole of data, as measured by rpc_scan; -1 (ret then empty) when it
 * is another one than expected. */
int rpc_read_header(const void *data, size_t len, struct rpc_header *ret);
/* The answer to `members`, with their own status. */
int rpc_read_members(const void *data, size_t len, struct serf_member **ret, size_t *n);
int rpc_read_record(const void *data, size_t len, struct rpc_record *ret);

void rpc_members_free(struct serf_member *members, size_t n);
void rpc_record_clear(struct rpc_record *record);

/* Append a request; those without arguments beyond the sequence number are their command alone. */
void rpc_write_command(struct buffer *out, const char *command, uint64_t seq);
void rpc_write_handshake(struct buffer *out, uint64_t seq);
void rpc_write_auth(struct buffer *out, uint64_t seq, const char *key);
void rpc_write_stream(struct buffer *out, uint64_t seq);
/* A tag without a value is deleted. */
void rpc_write_tags(struct buffer *out, uint64_t seq, const struct serf_tag *tags, size_t n);
/* addr is an IP literal. */
void rpc_write_join(struct buffer *out, uint64_t seq, const char *addr, uint16_t port);
void rpc_write_event(
    struct buffer *out, uint64_t seq, const char *name, const void *payload, size_t len);

#endif
