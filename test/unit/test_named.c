/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs and hosts by name, UUID and the start of a UUID. */
#include "verb_fixture.h"

#include <string.h>

#define UUID_2 "1111aaaa-2222-3333-4444-555555555555"
#define UUID_3 "abcd1234-2222-3333-4444-555555555555"
#define UUID_4 "fade0000-2222-3333-4444-555555555555"
#define VMS                                                                     \
	"{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}}," \
	"{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"db\"}},"               \
	"{\"uuid\":\"" UUID_3 "\",\"fields\":{\"name\":\"db\"}},"               \
	"{\"uuid\":\"" UUID_4 "\",\"fields\":{\"name\":\"abcd\"}},"             \
	"{\"uuid\":\"h\\u001b\",\"fields\":{\"name\":\"bad\"}},"                \
	"{\"uuid\":\"5ade0000-2222-3333-4444-555555555555\","                   \
	"\"fields\":{\"name\":\"" HOST_UUID "\"}},"                             \
	"{\"uuid\":\"6ade0000-2222-3333-4444-555555555555\","                   \
	"\"fields\":{\"name\":\"a\\u001b[2Jb\"}}]}"

#define JSON "Content-Type: application/json\r\n"

/* The list, and then the answer to the command. */
static void
know(struct verb_fixture *f, const char *list)
{
	verb_forget(f);
	verb_answer(f, 200, JSON, list);
	verb_answer(f, 204, "", "");
}

static void
test_what_is_found(void **state)
{
	static const struct {
		const char *text, *uuid, *asked;
	} cases[] = {
		{ "web", VM_UUID, "{\"filter\":{\"name\":\"web\"," },
		{ "11111111", VM_UUID, "{\"filter\":{\"name\":\"\"," },
		{ "1111A", UUID_2, "{\"filter\":{\"name\":\"\"," },
		{ "11111111-2222-3333-4444-55555555555", VM_UUID, "\"name\":\"\"," },
		/* A name comes before the start of a UUID. */
		{ "abcd", UUID_4, "\"name\":\"\"," },
		{ "abcd1", UUID_3, "\"name\":\"\"," },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("pause vm %s", cases[i].text);
		_free_ char *request = xasprintf("POST /vms/%s/runstate/pause", cases[i].uuid);

		know(f, VMS);
		verb_ok(f, line);
		verb_asked(f, 2 * i, "GET /vms", cases[i].asked);
		verb_asked(f, 2 * i + 1, request, "");
	}
}

/* Nor can a name stand for it. */
static void
test_a_whole_uuid_is_not_looked_for(void **state)
{
	struct verb_fixture *f = *state;

	verb_ok(f, "pause vm 99999999-2222-3333-4444-55555555555A");
	verb_asked(f, 0, "POST /vms/99999999-2222-3333-4444-55555555555a/runstate/pause", "");
	assert_int_equal(f->n_requests, 1);
}

static void
test_what_is_not_one(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *words;
	} cases[] = {
		{ "nosuch", 404, "no VM is called 'nosuch'" },
		{ "we", 404, "no VM is called 'we'; with that in the name; 'web' (" VM_UUID ")" },
		{ "beef", 404, "no VM is called 'beef', nor does the UUID of one start so" },
		/* Too short for a UUID. */
		{ "111", 404, "no VM is called '111'" },
		{ "db", 409,
		    "2 VMs are called 'db': a UUID says which; 'db' (" UUID_2 "), 'db' (" UUID_3
		    ")" },
		{ "1111", 409,
		    "the UUIDs of 2 VMs start with '1111'; 'web' (" VM_UUID "), 'db' (" UUID_2
		    ")" },
		{ "bad", CLIENT_ERROR_STATUS, "the server's answer: VM 'bad' has no UUID" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("delete vm %s", cases[i].text);

		know(f, VMS);
		verb_fails(f, line, COMMAND_FAILED, cases[i].words);
		assert_int_equal(f->err.status, cases[i].status);
		assert_int_equal(f->n_requests, i + 1);
	}
}

static void
test_many_candidates(void **state)
{
	struct verb_fixture *f = *state;
	_buffer_ struct buffer list = { 0 };

	buffer_printf(&list, "{\"items\":[");
	for (int i = 0; i < 20; i++)
		buffer_printf(&list,
		    "%s{\"uuid\":\"11111111-2222-3333-4444-5555555555%02d\",\"fields\":{"
		    "\"name\":\"web\"}}",
		    i ? "," : "", i);
	buffer_printf(&list, "]}");
	know(f, list.data);
	verb_fails(f, "delete vm web", COMMAND_FAILED, "20 VMs are called 'web'");
	assert_says(f->err.detail, "555507) and 12 more");
	assert_null(strstr(f->err.detail, "555508"));
}

/* In operands and options, each once by name and UUID in what is said. */
static void
test_hosts_and_messages(void **state)
{
	static const char hosts[] =
	    "{\"items\":[{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"h1\"}}]}";
	struct verb_fixture *f = *state;

	know(f, hosts);
	verb_ok(f, "forget host h1");
	verb_asked(f, 0, "GET /hosts", "{\"filter\":{\"name\":\"h1\",");
	verb_asked(f, 1, "DELETE /hosts/" HOST_UUID, "");
	know(f, hosts);
	verb_ok(f, "register vm -h h1 " VM_UUID);
	verb_asked(f, 3, "PUT /vms/" VM_UUID "/register", "{\"host\":\"" HOST_UUID "\"}");
	verb_forget(f);
	verb_answer(f, 200, JSON, hosts);
	verb_answer(f, 409, "Content-Type: text/plain\r\n", "busy\n");
	verb_fails(f, "forget host 9999", COMMAND_FAILED,
	    "cannot forget host 'h1' (" HOST_UUID "): 409: busy");
	verb_fails(f, "repair -h h9", COMMAND_FAILED, "cannot look for host 'h9': 409: busy");
	/* Both are looked for before anything is done. */
	verb_forget(f);
	verb_answer(f, 200, JSON, VMS);
	verb_answer(f, 200, JSON, "{\"items\":[]}");
	verb_fails(f, "migrate vm -h nosuch web", COMMAND_FAILED, "no host is called 'nosuch'");
	assert_int_equal(f->n_requests, 9);
}

/* What is asked at the terminal has no control characters of a name. */
static void
test_what_is_shown_is_safe(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, JSON, VMS);
	verb_answer(f, 500, "Content-Type: text/plain\r\n", "out of order\n");
	verb_fails(f, "pause vm 6ade", COMMAND_FAILED,
	    "cannot pause vm 'a?[2Jb' (6ade0000-2222-3333-4444-555555555555): 500: out of order");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_found),
		TEST(test_a_whole_uuid_is_not_looked_for),
		TEST(test_what_is_not_one),
		TEST(test_many_candidates),
		TEST(test_hosts_and_messages),
		TEST(test_what_is_shown_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
