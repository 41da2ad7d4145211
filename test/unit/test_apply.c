/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 'apply vm' and 'create vm --if-needed'. */
#include "verb_fixture.h"

#include "virtx/failure.h"

#define REST	"\"osdisk\":{\"path\":\"/vms/ds/a/a.qcow2\",\"size\":10},\"vlanid\":7}"
#define DEF	"{\"name\":\"web\",\"memory\":{\"total\":1024}," REST
#define LARGER	"{\"name\":\"web\",\"memory\":{\"total\":2048}," REST
#define SHOWN	"{\"uuid\":\"" VM_UUID "\",\"def\":" DEF "}"
#define TAG	"ETag: \"t1\"\r\n"
#define ITEM(u) "{\"uuid\":\"" u "\",\"fields\":{\"name\":\"web\"}}"
#define NEAR	"{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"name\":\"web2\"}}"
#define LIST	"{\"items\":[" NEAR "," ITEM(VM_UUID) "]}"
#define TWO	"{\"items\":[" ITEM(HOST_UUID) "," ITEM(VM_UUID) "]}"
#define NONE	"{\"items\":[" NEAR "]}"

static void
test_twice(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_answer(f, 204, "", "");
	verb_file(f, LARGER);
	verb_ok(f, "apply vm FILE");
	assert_string_equal(f->out, "web configured\n");
	verb_asked(f, 1, "GET /vms/" VM_UUID, "");
	verb_asked(f, 2, "PUT /vms/" VM_UUID, "\"memory\":{\"total\":2048,\"hp\":false}");
	verb_asked(f, 2, "PUT /vms/" VM_UUID, "\"deletestorage\":false,\"force\":false}");
	assert_says(f->requests[2].head, "If-Match: \"t1\"\r\n");
	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, "{\"def\":" LARGER "}");
	verb_file(f, LARGER);
	verb_ok(f, "apply vm -s -f FILE");
	assert_string_equal(f->out, "web unchanged\n");
	assert_int_equal(f->n_requests, 5);
}

static void
test_created(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", NONE);
	verb_file(f, DEF);
	verb_ok(f, "apply vm -n FILE");
	assert_string_equal(f->out, "web created (dry run)\n");
	assert_int_equal(f->n_requests, 1);
	verb_forget(f);
	verb_answer(f, 200, "", NONE);
	verb_answer(f, 201, "", "\"" VM_UUID "\"");
	verb_file(f, DEF);
	verb_ok(f, "vm apply FILE");
	assert_string_equal(f->out, "web created\n");
	verb_asked(f, 2, "POST /vms", "\"vmdef\":{\"name\":\"web\"");
}

static void
test_dry_run(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_file(f, LARGER);
	verb_ok(f, "apply vm --dry-run FILE");
	assert_string_equal(
	    f->out, "web configured (dry run)\n  memory.total: 1024 MiB -> 2048 MiB\n");
	assert_int_equal(f->n_requests, 2);
	/* What others wrote into a VM does nothing to the terminal. */
	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG,
	    "{\"def\":{\"name\":\"web\",\"genid\":\"\\u009b1m\\u202e\",\"memory\":{\"total\":1024}"
	    "," REST "}");
	verb_ok(f, "apply vm --dry-run FILE");
	assert_says(f->out, "  genid: \"\\u009b1m\\u202e\" -> \"\"\n");
}

static void
test_refused(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", TWO);
	verb_file(f, DEF);
	verb_fails(f, "apply vm FILE", COMMAND_FAILED, "2 VMs are called 'web'");
	assert_says(f->err.detail, "'web' (" HOST_UUID "), 'web' (" VM_UUID ")");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_CONFLICT);
	assert_int_equal(f->n_requests, 1);
	/* It runs. */
	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_answer(f, 422, "Content-Type: application/problem+json\r\n",
	    "{\"title\":\"x\",\"status\":422,\"detail\":\"it is running\"}");
	verb_file(f, LARGER);
	verb_fails(f, "apply vm FILE", COMMAND_FAILED, "it is running");
	assert_says(f->err.detail, "cannot update vm 'web' (" VM_UUID "): 422: ");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_REFUSED);
	verb_fails(f, "apply vm", COMMAND_USAGE, "FILE is missing");
	verb_file(f, "memory: {total: 1G}");
	verb_fails(f, "apply vm FILE", COMMAND_FAILED, "name: missing");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
}

/* The good ones are done; the exit code is that of the worst. */
static void
test_bad_among_good(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_file(f, DEF);
	verb_fails(f, "apply vm FILE /nonexistent/a.yaml FILE", COMMAND_FAILED,
	    "2 of 3 files were not applied");
	assert_string_equal(f->out, "web unchanged\n");
	assert_says(f->said, "virtx: cannot apply '/nonexistent/a.yaml': ");
	assert_says(f->said, "defines vm 'web' already\n");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_OTHER);
}

/* They would undo each other each time, and a server that has not heard of the VM yet would make
 * another one. */
static void
test_one_vm_twice(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", NONE);
	verb_answer(f, 201, "", "\"" VM_UUID "\"");
	verb_answer(f, 200, "", NONE);
	verb_answer(f, 201, "", "\"" HOST_UUID "\"");
	verb_file(f, DEF);
	verb_fails(f, "apply vm FILE FILE", COMMAND_FAILED, "1 of 2 files were not applied");
	assert_string_equal(f->out, "web created\n");
	assert_says(f->said, "name: '/");
	assert_says(f->said, "' defines vm 'web' already\n");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
	assert_int_equal(f->n_requests, 2);
	verb_forget(f);
	verb_answer(f, 200, "", NONE);
	verb_fails(f, "apply vm -n FILE FILE", COMMAND_FAILED, "1 of 2 files");
	assert_int_equal(f->n_requests, 3);
}

static void
test_if_needed(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_file(f, DEF);
	verb_ok(f, "create vm --if-needed FILE");
	assert_string_equal(f->out, VM_UUID "\n");
	assert_int_equal(f->n_requests, 2);
	verb_forget(f);
	verb_answer(f, 200, "", LIST);
	verb_answer(f, 200, TAG, SHOWN);
	verb_file(f, LARGER);
	verb_fails(f, "create vm -i FILE", COMMAND_FAILED,
	    "VM 'web' (" VM_UUID ") is another one; memory.total: 1024 MiB -> 2048 MiB");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_CONFLICT);
	assert_int_equal(f->n_requests, 4);
	verb_forget(f);
	verb_answer(f, 200, "", NONE);
	verb_answer(f, 201, "", "\"" HOST_UUID "\"");
	verb_file(f, DEF);
	verb_ok(f, "create vm --if-needed FILE");
	assert_string_equal(f->out, HOST_UUID "\n");
	verb_asked(f, 5, "POST /vms", "\"name\":\"web\"");
}

/* Nothing is made of an answer that says nothing. */
static void
test_no_definition(void **state)
{
	static const char *const lines[] = { "apply vm FILE", "apply vm -n FILE",
		"create vm -i FILE", "set vm web memory=4G", "edit vm web" };
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		verb_forget(f);
		verb_answer(f, 200, "", LIST);
		verb_answer(f, 200, TAG, "{}");
		verb_answer(f, 204, "", "");
		verb_file(f, DEF);
		verb_fails(f, lines[i], COMMAND_FAILED,
		    "the server's answer: VM '" VM_UUID "' has no definition");
		assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_OTHER);
		assert_int_equal(f->n_requests, 2 * (i + 1));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_twice),
		TEST(test_created),
		TEST(test_dry_run),
		TEST(test_refused),
		TEST(test_bad_among_good),
		TEST(test_one_vm_twice),
		TEST(test_if_needed),
		TEST(test_no_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
