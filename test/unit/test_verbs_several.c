/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands for several VMs: which ones they are, what is asked, and how they end. */
#include "verb_fixture.h"

#include <string.h>

#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define UUID_3 "33333333-2222-3333-4444-555555555555"
#define LIST                                                                                   \
	"{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\",\"runstate\":4}}," \
	"{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"db\",\"runstate\":2}},"               \
	"{\"uuid\":\"" UUID_3 "\",\"fields\":{\"name\":\"web2\",\"runstate\":2}}]}"
#define OF_ANN                                                                             \
	"{\"items\":[{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"db\",\"runstate\":2," \
	"\"custom\":{\"name\":\"owner\",\"value\":\"ann\"}}},"                             \
	"{\"uuid\":\"" UUID_3 "\",\"fields\":{\"name\":\"web2\",\"runstate\":2,"           \
	"\"custom\":{\"name\":\"owner\",\"value\":\"ann\"}}}]}"
#define JSON_TYPE    "Content-Type: application/json\r\n"
#define PROBLEM_TYPE "Content-Type: application/problem+json\r\n"

static void
answer_list(struct verb_fixture *f)
{
	verb_forget(f);
	verb_answer(f, 200, JSON_TYPE, LIST);
}

/* The list is asked for once, and each VM is worked on once. */
static void
test_by_name(void **state)
{
	struct verb_fixture *f = *state;

	answer_list(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "boot vm --parallel 1 web db web 3333");
	assert_string_equal(f->out, "web: running\ndb: running\nweb2: running\n");
	assert_string_equal(f->said, "virtx: 3 done\n");
	assert_int_equal(f->n_requests, 4);
	verb_asked(f, 0, "GET /vms", "");
	verb_asked(f, 1, "POST /vms/" VM_UUID "/runstate/boot", "");
	verb_asked(f, 2, "POST /vms/" UUID_2 "/runstate/boot", "");
	verb_asked(f, 3, "POST /vms/" UUID_3 "/runstate/boot", "");
}

static void
test_by_uuid(void **state)
{
	struct verb_fixture *f = *state;

	verb_ok(f, "pause vm --parallel 1 " VM_UUID " " UUID_2);
	assert_string_equal(f->out, VM_UUID ": paused\n" UUID_2 ": paused\n");
	assert_int_equal(f->n_requests, 2);
	verb_asked(f, 0, "POST /vms/" VM_UUID "/runstate/pause", "");
}

/* All at once, more than there are. */
static void
test_parallel(void **state)
{
	struct verb_fixture *f = *state;

	answer_list(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "resume vm --all --parallel 32");
	assert_says(f->out, "web: running\n");
	assert_says(f->out, "db: running\n");
	assert_says(f->out, "web2: running\n");
	assert_int_equal(f->n_requests, 4);
}

static void
test_filter(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, JSON_TYPE, OF_ANN);
	verb_answer(f, 204, "", "");
	verb_ok(f, "boot vm --filter state=poweroff,custom.owner=ann,name~web");
	assert_string_equal(f->out, "web2: running\n");
	verb_asked(f, 0, "GET /vms", "\"custom\":{\"name\":\"owner\",\"value\":\"ann\"}");
	verb_asked(f, 1, "POST /vms/" UUID_3 "/runstate/boot", "");
	assert_int_equal(f->n_requests, 2);
}

/* One that leaves the custom field out of account has nothing deleted by that. */
static void
test_all_for_some(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	verb_fails(f, "delete vm --yes --filter custom.owner=ann", COMMAND_FAILED,
	    "is not known to have owner=ann");
	assert_int_equal(f->n_requests, 1);
}

/* Nothing is done where none is meant, or one of them is not there. */
static void
test_none(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	verb_fails(f, "boot vm --filter name=nothing", COMMAND_FAILED,
	    "no VM fits --filter 'name=nothing'");
	assert_int_equal(f->err.status, 404);
	verb_fails(f, "boot vm web nothing", COMMAND_FAILED, "no VM is called 'nothing'");
	assert_int_equal(f->err.status, 404);
	verb_answer_json(f, "{\"items\":[]}");
	verb_fails(f, "boot vm --all", COMMAND_FAILED, "there is no VM");
	assert_int_equal(f->err.status, 404);
	assert_int_equal(f->n_requests, 3);
	/* That is no mistake in the command. */
	verb_answer_json(f, "{\"items\":[{\"uuid\":\"x\",\"fields\":{\"name\":\"web\"}}]}");
	verb_fails(f, "boot vm --all", COMMAND_FAILED, "the server's answer: VM 'web' has no UUID");
	verb_fails(f, "boot vm --filter nmae=web", COMMAND_USAGE, "'nmae'");
}

/* The others go on where one fails; the worst of them is the command's. */
static void
test_failures(void **state)
{
	struct verb_fixture *f = *state;

	answer_list(f);
	verb_answer(f, 409, PROBLEM_TYPE, "{\"status\":409,\"detail\":\"busy\"}");
	verb_answer(f, 403, PROBLEM_TYPE, "{\"status\":403,\"detail\":\"not yours\"}");
	verb_answer(f, 204, "", "");
	verb_fails(f, "shutdown vm --all --parallel 1", COMMAND_FAILED, "1 done, 2 failed");
	assert_int_equal(f->err.status, 403);
	assert_string_equal(
	    f->out, "web: 409: busy\ndb: 403: not yours\nweb2: asked to shut down\n");
}

/* Whom nobody has named may be so already. */
static void
test_already(void **state)
{
	static const struct {
		const char *command, *type, *line;
	} cases[] = {
		{ "boot vm", "already-running", "web: already running\n" },
		{ "resume vm", "already-running", "web: already running\n" },
		{ "pause vm", "already-paused", "web: already paused\n" },
		{ "shutdown vm", "already-off", "web: already off\n" },
		{ "shutdown vm -f --yes", "already-off", "web: already off\n" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *problem =
		    xasprintf("{\"type\":\"/problems/%s\",\"detail\":\"so\"}", cases[i].type);
		_free_ char *chosen =
		    xasprintf("%s --parallel 1 --filter name=web", cases[i].command);
		_free_ char *named = xasprintf("%s --parallel 1 web db", cases[i].command);
		_free_ char *alone = xasprintf("%s " VM_UUID, cases[i].command);

		answer_list(f);
		verb_answer(f, 424, PROBLEM_TYPE, problem);
		verb_ok(f, chosen);
		assert_string_equal(f->out, cases[i].line);
		assert_string_equal(f->said, "virtx: 1 done\n");
		answer_list(f);
		verb_answer(f, 424, PROBLEM_TYPE, problem);
		verb_fails(f, named, COMMAND_FAILED, "0 done, 2 failed");
		assert_string_equal(f->out, "web: 424: so\ndb: 424: so\n");
		verb_fails(f, alone, COMMAND_FAILED, "424: so");
	}
	/* Another state than the one that is wanted is none to be glad of. */
	answer_list(f);
	verb_answer(f, 424, PROBLEM_TYPE, "{\"type\":\"/problems/already-on\",\"detail\":\"so\"}");
	verb_fails(f, "boot vm --filter name=web", COMMAND_FAILED, "0 done, 1 failed");
	answer_list(f);
	verb_answer(
	    f, 424, PROBLEM_TYPE, "{\"type\":\"/problems/already-running\",\"detail\":\"so\"}");
	verb_ok(f, "boot vm -o json --filter name=web");
	assert_says(f->out, "\"code\": 0, \"status\": 0, \"detail\": \"already running\"");
}

static void
test_formats(void **state)
{
	struct verb_fixture *f = *state;

	answer_list(f);
	verb_answer(f, 409, PROBLEM_TYPE, "{\"status\":409,\"detail\":\"busy\"}");
	verb_answer(f, 204, "", "");
	verb_fails(f, "boot vm -o json --parallel 1 web db", COMMAND_FAILED, "1 done, 1 failed");
	assert_string_equal(f->out,
	    "[\n  {\"vm\": \"" VM_UUID "\", \"name\": \"web\", \"code\": 4, \"status\": 409, "
	    "\"detail\": \"409: busy\", \"operation\": \"\"},\n"
	    "  {\"vm\": \"" UUID_2 "\", \"name\": \"db\", \"code\": 0, \"status\": 0, "
	    "\"detail\": \"running\", \"operation\": \"\"}\n]\n");
	answer_list(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "boot vm -o csv --filter name~web --parallel 1");
	assert_string_equal(f->out,
	    "UUID,NAME,CODE,RESULT\n" VM_UUID ",web,0,running\n" UUID_3 ",web2,0,running\n");
}

/* What destroys is not done unasked; here is no terminal. */
static void
test_danger(void **state)
{
	static const char *const lines[] = { "delete vm web db", "delete vm -s --filter name~b",
		"reset vm web db", "shutdown vm -f --all" };
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		verb_fails(f, lines[i], COMMAND_USAGE, "--yes says that it is wanted");
		verb_asked(f, i, "GET /vms", "");
	}
	assert_says(f->err.detail, "End by force 3 VMs: web, db, web2");
	assert_int_equal(f->n_requests, ARRAY_SIZE(lines));
	answer_list(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "delete vm --yes --parallel 1 web db");
	assert_string_equal(f->out, "web: deleted\ndb: deleted\n");
}

static void
test_usage(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "boot vm", "VM is missing" },
		{ "boot vm --all web", "either VMs are named" },
		{ "boot vm --filter name=web web db", "either VMs are named" },
		{ "boot vm --parallel 33 web db", "--parallel needs a whole number from 1 to 32" },
		{ "boot vm -u - web db", "--ci-userdata - is for one VM alone" },
		{ "migrate vm -n web db", "--dry-run is for one VM alone" },
		{ "delete vm --all --filter custom.owner~a", "custom.NAME=VALUE" },
		{ "delete vm --yes --filter=", "an empty term, and --all is for all VMs" },
		{ "delete vm --yes --filter ,", "an empty term, and --all is for all VMs" },
		{ "delete vm --yes --filter name~web,", "an empty term" },
		{ "delete vm --yes --filter custom.owner=ann,", "an empty term" },
		{ "delete vm --yes --filter name~", "'name~' fits all VMs" },
		{ "delete vm --yes --filter name!=", "'name!=' fits all VMs" },
		{ "delete vm --yes --filter state=running,name!=,host!=a",
		    "'name!=' fits all VMs" },
		{ "get vm web db", "'db' is one argument too many" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		verb_fails(f, cases[i].line, COMMAND_USAGE, cases[i].words);
	assert_int_equal(f->n_requests, 0);
}

/* Nothing is done where the table of what was done cannot be shown as it was asked for. */
static void
test_wrong_table(void **state)
{
	static const char *const lines[] = { "reset vm --yes --all --columns nope",
		"reset vm --yes web db --sort -nope",
		"reset vm --yes --filter name=db -q --sort x" };
	struct verb_fixture *f = *state;

	answer_list(f);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		verb_fails(f, lines[i], COMMAND_USAGE, "but uuid, name, code, result");
		verb_asked(f, f->n_requests - 1, "GET /vms", "");
	}
	assert_int_equal(f->n_requests, ARRAY_SIZE(lines));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_name),
		TEST(test_by_uuid),
		TEST(test_parallel),
		TEST(test_filter),
		TEST(test_all_for_some),
		TEST(test_none),
		TEST(test_failures),
		TEST(test_already),
		TEST(test_formats),
		TEST(test_danger),
		TEST(test_usage),
		TEST(test_wrong_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
