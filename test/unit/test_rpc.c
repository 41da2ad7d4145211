/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/rpc.h"
#include "serf/serf.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define OBJECT(text) text, sizeof(text) - 1

static void
test_scan(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} objects[] = {
		{ OBJECT("\xc0") },
		{ OBJECT("\x00") },
		{ OBJECT("\xff") },
		{ OBJECT("\xa0") },
		{ OBJECT("\xa3"
			 "abc") },
		{ OBJECT("\xd9\x03"
			 "abc") },
		{ OBJECT("\xda\x00\x03"
			 "abc") },
		{ OBJECT("\xdb\x00\x00\x00\x03"
			 "abc") },
		{ OBJECT("\xc4\x00") },
		{ OBJECT("\xc5\x00\x01x") },
		{ OBJECT("\xc6\x00\x00\x00\x01x") },
		{ OBJECT("\xc7\x01\x05x") },
		{ OBJECT("\xd4\x05x") },
		{ OBJECT("\xd8\x05"
			 "0123456789abcdef") },
		{ OBJECT("\xca"
			 "1234") },
		{ OBJECT("\xcf"
			 "12345678") },
		{ OBJECT("\xd1"
			 "12") },
		{ OBJECT("\x80") },
		{ OBJECT("\x82\xa1x\x93\x01\x02\x03\xa1y\x80") },
		{ OBJECT("\xdc\x00\x02\xc2\xc3") },
		{ OBJECT("\xdf\x00\x00\x00\x01\xa1x\xdd\x00\x00\x00\x01\x91\xc0") },
	};
	char data[64];

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		for (size_t len = 0; len < objects[i].len; len++)
			assert_int_equal(rpc_scan(objects[i].data, len), 0);
		/* What follows is left alone. */
		memset(data, 0xc1, sizeof(data));
		memcpy(data, objects[i].data, objects[i].len);
		assert_int_equal(rpc_scan(data, sizeof(data)), objects[i].len);
	}
}

static void
test_scan_limits(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} objects[] = {
		{ OBJECT("\xc1") }, { OBJECT("\x91\xc1") }, { OBJECT("\xdd\xff\xff\xff\xff") },
		{ OBJECT("\xdf\x80\x00\x00\x00") }, { OBJECT("\xdf\x00\x10\x00\x00") },
		{ OBJECT("\xdb\xff\xff\xff\xff") }, { OBJECT("\xc9\xff\xff\xff\xff") },
		{ OBJECT("\xdb\x00\x10\x00\x00") }, /* 1 MiB, and its head */
	};
	char deep[64];

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		assert_int_equal(rpc_scan(objects[i].data, objects[i].len), -1);
	memset(deep, 0x91, sizeof(deep));
	assert_int_equal(rpc_scan(deep, 15), 0);
	assert_int_equal(rpc_scan(deep, 16), -1);
	deep[14] = (char)0xc0;
	deep[15] = (char)0xc0;
	assert_int_equal(rpc_scan(deep, 16), 15);
}

static void
test_header(void **state)
{
	struct rpc_header header;

	assert_int_equal(rpc_read_header(OBJECT("\x82\xa3Seq\xcd\x01\x00\xa5"
						"Error\xa0"),
			     &header),
	    0);
	assert_int_equal(header.seq, 256);
	assert_string_equal(header.error, "");
	/* The error as bytes, and an unknown key. */
	assert_int_equal(rpc_read_header(OBJECT("\x83\xa1x\x01\xa3Seq\x07\xa5"
						"Error\xc4\x02no"),
			     &header),
	    0);
	assert_int_equal(header.seq, 7);
	assert_string_equal(header.error, "no");
	assert_int_equal(rpc_read_header(OBJECT("\x81\xa3Seq\x07"), &header), -1);
	assert_int_equal(rpc_read_header(OBJECT("\x82\xa3Seq\xff\xa5"
						"Error\xa0"),
			     &header),
	    -1);
	assert_int_equal(rpc_read_header(OBJECT("\x90"), &header), -1);
}

static void
test_record(void **state)
{
	struct rpc_record record;

	assert_int_equal(rpc_read_record(OBJECT("\x85\xa5"
						"Event\xa4user\xa5LTime\x05\xa4Name\xa2VE\xa7"
						"Payload\xc4\x03"
						"a\0b\xa8"
						"Coalesce\xc2"),
			     &record),
	    0);
	assert_int_equal(record.kind, RPC_RECORD_USER);
	assert_int_equal(record.ltime, 5);
	assert_string_equal(record.name, "VE");
	assert_int_equal(record.payload_len, 3);
	assert_memory_equal(record.payload, "a\0b", 3);
	rpc_record_clear(&record);

	assert_int_equal(rpc_read_record(OBJECT("\x81\xa5"
						"Event\xa5query"),
			     &record),
	    0);
	assert_int_equal(record.kind, RPC_RECORD_OTHER);
	rpc_record_clear(&record);

	assert_int_equal(rpc_read_record(OBJECT("\x82\xa5"
						"Event\xabmember-join\xa7Members\xc0"),
			     &record),
	    0);
	assert_int_equal(record.kind, RPC_RECORD_MEMBERS);
	assert_int_equal(record.n_members, 0);
	rpc_record_clear(&record);

	/* Without a name, without a payload, with members that are none. */
	assert_int_equal(rpc_read_record(OBJECT("\x83\xa5"
						"Event\xa4user\xa5LTime\x05\xa7Payload\xa0"),
			     &record),
	    -1);
	assert_int_equal(rpc_read_record(OBJECT("\x83\xa5"
						"Event\xa4user\xa5LTime\x05\xa4Name\xa0"),
			     &record),
	    -1);
	assert_int_equal(rpc_read_record(OBJECT("\x82\xa5"
						"Event\xabmember-join\xa7Members\x92\x81\xa4"
						"Name\xa1x\x01"),
			     &record),
	    -1);
	assert_int_equal(rpc_read_record(OBJECT("\x81\xa5"
						"Event\xabmember-join"),
			     &record),
	    -1);
	assert_int_equal(rpc_read_record(OBJECT("\xc0"), &record), -1);
}

static void
test_members(void **state)
{
	struct serf_member *members;
	size_t n;

	assert_int_equal(
	    rpc_read_members(OBJECT("\x81\xa7Members\x93"
				    "\x85\xa4Name\xa2h1\xa4"
				    "Addr\xc4\x04\x0a\x00\x00\x01\xa4Port\xcd\x1f\x0a\xa6Status\xa5"
				    "alive\xa4Tags\x82\xa4uuid\xa1u\xa1"
				    "b\xc4\x01"
				    "c"
				    "\x83\xa4Name\xa2h2\xa6Status\xa7leaving\xa4"
				    "Addr\xc4\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x00\x00\x02"
				    "\x83\xa4Name\xa2h3\xa6Status\xa6"
				    "failed\xa4"
				    "Addr\xb0\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
		&members, &n),
	    0);
	assert_int_equal(n, 3);
	assert_string_equal(members[0].name, "h1");
	assert_string_equal(members[0].addr, "10.0.0.1");
	assert_int_equal(members[0].port, 7946);
	assert_int_equal(members[0].cstate, CSTATE_ACTIVE);
	assert_string_equal(serf_member_tag(&members[0], "uuid"), "u");
	assert_string_equal(serf_member_tag(&members[0], "b"), "c");
	assert_null(serf_member_tag(&members[0], "x"));
	assert_string_equal(members[1].addr, "10.0.0.2");
	assert_int_equal(members[1].cstate, CSTATE_LEFT);
	assert_string_equal(members[2].addr, "fe80::1");
	assert_int_equal(members[2].cstate, CSTATE_FAILED);
	rpc_members_free(members, n);
}

static void
test_write(void **state)
{
	const struct serf_tag tags[] = { { (char[]){ "uuid" }, (char[]){ "u" } },
		{ (char[]){ "gone" }, NULL } };
	_buffer_ struct buffer out = { 0 };

	rpc_write_tags(&out, 3, tags, 1);
	assert_memory_equal(out.data,
	    "\x82\xa7"
	    "Command\xa4tags\xa3Seq\x03\x82\xa4Tags\x81\xa4uuid\xa1u\xaa"
	    "DeleteTags\x90",
	    out.len);
	buffer_clear(&out);
	rpc_write_tags(&out, 3, tags, 2);
	assert_memory_equal(out.data,
	    "\x82\xa7"
	    "Command\xa4tags\xa3Seq\x03\x82\xa4Tags\x81\xa4uuid\xa1u\xaa"
	    "DeleteTags\x91\xa4gone",
	    out.len);
	buffer_clear(&out);
	rpc_write_event(&out, 4, "VE", "\0", 1);
	assert_memory_equal(out.data,
	    "\x82\xa7"
	    "Command\xa5"
	    "event\xa3Seq\x04\x83\xa4Name\xa2VE\xa7Payload\xc4\x01\0\xa8"
	    "Coalesce\xc2",
	    out.len);
	buffer_clear(&out);
	rpc_write_join(&out, 5, "10.0.0.1", 7946);
	assert_memory_equal(out.data,
	    "\x82\xa7"
	    "Command\xa4join\xa3Seq\x05\x82\xa8"
	    "Existing\x91\xad"
	    "10.0.0.1:7946\xa6"
	    "Replay\xc2",
	    out.len);
	buffer_clear(&out);
	rpc_write_handshake(&out, 1);
	rpc_write_auth(&out, 2, "k");
	assert_memory_equal(out.data,
	    "\x82\xa7"
	    "Command\xa9handshake\xa3Seq\x01\x81\xa7Version\x01\x82\xa7"
	    "Command\xa4"
	    "auth\xa3Seq\x02\x81\xa7"
	    "AuthKey\xa1k",
	    out.len);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_limits),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
