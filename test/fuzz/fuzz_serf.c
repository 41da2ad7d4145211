/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads what an agent might send: each object must have the size that msgpack sees, and be taken or
 * refused whole. */
#include <msgpack.h>

#include "serf/rpc.h"
#include "serf/serf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What rpc_scan lets through must be safe for msgpack, and as large as it thinks. */
static void
compare(const uint8_t *data, size_t len)
{
	msgpack_unpacked unpacked;
	size_t used = 0;

	msgpack_unpacked_init(&unpacked);
	if (msgpack_unpack_next(&unpacked, (const char *)data, len, &used) !=
		MSGPACK_UNPACK_SUCCESS ||
	    used != len)
		abort();
	msgpack_unpacked_destroy(&unpacked);
}

static void
read_object(const uint8_t *data, size_t len)
{
	struct serf_member *members;
	struct rpc_record record;
	struct rpc_header header;
	size_t n;

	if (rpc_read_header(data, len, &header) < 0 && header.error[0] != '\0')
		abort();
	if (rpc_read_members(data, len, &members, &n) < 0 && (members || n))
		abort();
	for (size_t i = 0; i < n; i++) {
		if (!members[i].name)
			abort();
		serf_member_tag(&members[i], "uuid");
	}
	rpc_members_free(members, n);
	if (rpc_read_record(data, len, &record) < 0 && (record.name || record.members))
		abort();
	if (record.kind == RPC_RECORD_USER && record.name && !record.payload)
		abort();
	rpc_record_clear(&record);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	long n;

	while (size > 0) {
		n = rpc_scan(data, size);
		if (n > (long)size || n > RPC_OBJECT_MAX)
			abort();
		if (n <= 0)
			break;
		if (rpc_scan(data, (size_t)n - 1) != 0)
			abort();
		compare(data, (size_t)n);
		read_object(data, (size_t)n);
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
