/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for VMs and operations. */
#include "verb_fixture.h"

#include <string.h>

#include "virtx/failure.h"

#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define LIST                                                                                   \
	"{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\",\"runstate\":4}}," \
	"{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"db\",\"runstate\":2}}]}"
#define JSON_TYPE    "Content-Type: application/json\r\n"
#define PROBLEM_TYPE "Content-Type: application/problem+json\r\n"
#define RUNSTATE     "GET /vms/" VM_UUID "/runstate"

static void
answer_state(struct verb_fixture *f, int runstate)
{
	_free_ char *body = xasprintf("{\"runstate\":%d}", runstate);

	verb_answer(f, 200, JSON_TYPE, body);
}

static void
answer_problem(struct verb_fixture *f, int status)
{
	verb_answer(f, status, PROBLEM_TYPE, "{\"detail\":\"no\"}");
}

static void
assert_code(const struct verb_fixture *f, enum failure_code code)
{
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), code);
}

/* It asks until the state is the one, and says nothing. */
static void
test_states(void **state)
{
	static const struct {
		const char *word;
		enum vmrunstate before, then;
	} cases[] = {
		{ "running", VMRUNSTATE_STARTUP, VMRUNSTATE_RUNNING },
		{ "poweroff", VMRUNSTATE_RUNNING, VMRUNSTATE_POWEROFF },
		{ "paused", VMRUNSTATE_RUNNING, VMRUNSTATE_PAUSED },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("wait vm --for %s " VM_UUID, cases[i].word);

		verb_forget(f);
		answer_state(f, cases[i].before);
		answer_state(f, cases[i].before);
		answer_state(f, cases[i].then);
		verb_ok(f, line);
		assert_string_equal(f->out, "");
		assert_string_equal(f->said, "");
		assert_int_equal(f->n_requests, 3 * (i + 1));
		verb_asked(f, 3 * i, RUNSTATE, "");
	}
}

/* A 404 counts where the server knows VMs at all; a proxy's says nothing. */
static void
test_gone(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	answer_state(f, VMRUNSTATE_POWEROFF);
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, "{\"items\":[]}");
	verb_ok(f, "wait vm --for gone " VM_UUID);
	assert_int_equal(f->n_requests, 3);
	verb_asked(f, 2, "GET /vms", "");
	verb_forget(f);
	answer_problem(f, 404);
	verb_fails(f, "wait vm --for gone " VM_UUID, COMMAND_FAILED, "404: no");
	assert_code(f, FAILURE_NOT_FOUND);
}

/* Who is called so is not there, or is there no more. */
static void
test_unknown(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	verb_ok(f, "wait vm --for gone nothing");
	verb_ok(f, "wait vm --for gone nothing nothing dead");
	assert_string_equal(f->out, "nothing: gone\ndead: gone\n");
	assert_string_equal(f->said, "virtx: 2 done\n");
	verb_ok(f, "wait vm --for gone --filter name=nothing");
	assert_string_equal(f->said, "virtx: 0 done\n");
	assert_int_equal(f->n_requests, 3);
	verb_fails(f, "wait vm --for running nothing", COMMAND_FAILED, "no VM is called 'nothing'");
	assert_code(f, FAILURE_NOT_FOUND);
	verb_fails(f, "wait vm --for running web nothing", COMMAND_FAILED, "'nothing'");
	verb_fails(f, "wait vm --for paused --filter name=nothing", COMMAND_FAILED, "no VM fits");
	/* What is not unique is there. */
	verb_answer_json(f, "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}},"
			    "{\"uuid\":\"" UUID_2 "\",\"fields\":{\"name\":\"web\"}}]}");
	verb_fails(f, "wait vm --for gone web", COMMAND_FAILED, "2 VMs are called 'web'");
	assert_code(f, FAILURE_CONFLICT);
	/* Nor is it known where the list cannot be had. */
	verb_forget(f);
	answer_problem(f, 404);
	verb_fails(f, "wait vm --for gone web", COMMAND_FAILED, "cannot look for VM 'web'");
	assert_code(f, FAILURE_NOT_FOUND);
	/* It went while another state was waited for. */
	verb_forget(f);
	answer_state(f, VMRUNSTATE_RUNNING);
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, "{\"items\":[]}");
	verb_fails(f, "wait vm --for poweroff " VM_UUID, COMMAND_FAILED,
	    "waiting for vm '" VM_UUID "': it is gone");
	assert_code(f, FAILURE_NOT_FOUND);
}

static void
test_deadline(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_fails(f, "wait vm --for poweroff --timeout 1 " VM_UUID, COMMAND_FAILED,
	    "waiting for vm '" VM_UUID
	    "': it is running, not poweroff, after 1 s; 'virtx get vm " VM_UUID "' shows it");
	assert_string_equal(f->err.vm, VM_UUID);
	assert_code(f, FAILURE_GOES_ON);
	assert_true(f->n_requests > 1);
	/* All have the same deadline. */
	verb_answer_json(f, LIST);
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_fails(f, "wait vm --for poweroff --timeout 1 --parallel 1 web db", COMMAND_FAILED,
	    "0 done, 2 failed");
	assert_says(f->out, "web: it is running, not poweroff, after 1 s; ");
	assert_says(f->out, "db: it is running, not poweroff, after 1 s; ");
	assert_code(f, FAILURE_GOES_ON);
	verb_asked(f, f->n_requests - 1, "GET /vms/" UUID_2 "/runstate", "");
	assert_says(f->requests[f->n_requests - 2].head, VM_UUID);
}

/* A host that is away may come back; who may not ask need not wait. */
static void
test_no_answer(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	answer_problem(f, 503);
	answer_problem(f, 504);
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_ok(f, "wait vm --for running " VM_UUID);
	assert_int_equal(f->n_requests, 3);
	verb_forget(f);
	answer_state(f, VMRUNSTATE_STARTUP);
	verb_answer_raw(f, "");
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_ok(f, "wait vm --for running " VM_UUID);
	verb_forget(f);
	answer_problem(f, 503);
	verb_fails(f, "wait vm --for running --timeout 1 " VM_UUID, COMMAND_FAILED,
	    "its state was not told last: 503: no");
	assert_code(f, FAILURE_GOES_ON);
	verb_forget(f);
	answer_problem(f, 403);
	verb_fails(f, "wait vm --for running " VM_UUID, COMMAND_FAILED, "403: no");
	assert_code(f, FAILURE_NOT_ALLOWED);
	verb_forget(f);
	verb_answer_raw(f, "");
	verb_fails(f, "wait vm --for running " VM_UUID, COMMAND_FAILED, "closed the connection");
	assert_code(f, FAILURE_OTHER);
}

static void
test_several(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_ok(f, "wait vm --for running --parallel 1 --all");
	assert_string_equal(f->out, "web: running\ndb: running\n");
	verb_answer_json(f, LIST);
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_ok(f, "wait vm --for running -o json --filter name=web");
	assert_string_equal(f->out,
	    "[\n  {\"vm\": \"" VM_UUID "\", \"name\": \"web\", \"code\": 0, \"status\": 0, "
	    "\"detail\": \"running\", \"operation\": \"\"}\n]\n");
}

static void
test_operation(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"state\":\"started\",\"progress\":-1}");
	verb_answer(f, 200, JSON_TYPE, "{\"state\":\"completed\",\"msg\":\"left\"}");
	verb_ok(f, "wait operation " OPERATION_UUID);
	assert_string_equal(f->said, "virtx: warning: left\n");
	assert_int_equal(f->n_requests, 2);
	verb_asked(f, 0, "GET /operations/" OPERATION_UUID, "");
	verb_answer_json(f, "{\"state\":\"failed\",\"msg\":\"no space\"}");
	verb_fails(f, "operation wait " OPERATION_UUID, COMMAND_FAILED,
	    "operation '" OPERATION_UUID "' failed: no space");
	assert_code(f, FAILURE_OTHER);
	verb_answer_json(f, "{\"state\":\"started\",\"progress\":1}");
	verb_fails(f, "wait operation --timeout 1 " OPERATION_UUID, COMMAND_FAILED,
	    "goes on: not ended within 1 s; 'virtx wait operation " OPERATION_UUID "' waits");
	assert_string_equal(f->err.operation, OPERATION_UUID);
	assert_code(f, FAILURE_GOES_ON);
	verb_forget(f);
	answer_problem(f, 404);
	verb_fails(f, "wait operation " OPERATION_UUID, COMMAND_FAILED, "404: no");
	assert_code(f, FAILURE_NOT_FOUND);
}

#define HOST_2 "88888888-2222-3333-4444-555555555555"
#define HOST_3 "77777777-2222-3333-4444-555555555555"
#define OPERATION(state)                                                                          \
	"{\"items\":[{\"id\":\"" HOST_UUID "\"},{\"id\":\"" OPERATION_UUID "\",\"vm\":\"" VM_UUID \
	"\",\"state\":\"" state "\",\"op\":\"VmBoot\"}]}"

/* First all hosts are asked whether they have it, then the one that does, for its VM alone. */
static void
test_operation_elsewhere(void **state)
{
	static const char hosts[] = "{\"items\":["
				    "{\"uuid\":\"" HOST_3 "\",\"fields\":{\"cstate\":2}},"
				    "{\"uuid\":\"" HOST_UUID "\",\"fields\":{\"cstate\":1}},"
				    "{\"uuid\":\"" HOST_2 "\",\"fields\":{\"cstate\":1}}]}";
	struct verb_fixture *f = *state;

	verb_forget(f);
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, hosts);
	verb_answer(f, 200, JSON_TYPE, "{\"items\":[]}");
	verb_answer(f, 200, JSON_TYPE, OPERATION("started"));
	verb_answer(f, 200, JSON_TYPE, OPERATION("completed"));
	verb_ok(f, "wait operation " OPERATION_UUID);
	assert_int_equal(f->n_requests, 5);
	verb_asked(f, 1, "GET /hosts", "");
	verb_asked(f, 2, "GET /operations?host=" HOST_UUID, "");
	verb_asked(f, 3, "GET /operations?host=" HOST_2, "");
	verb_asked(f, 4, "GET /operations?host=" HOST_2 "&vm=" VM_UUID, "");
	verb_forget(f);
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, hosts);
	verb_answer(f, 200, JSON_TYPE, OPERATION("failed"));
	verb_ok(f, "get operation " OPERATION_UUID);
	assert_says(f->out, "VmBoot");
	/* One that does not tell may have it. */
	verb_forget(f);
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, hosts);
	answer_problem(f, 503);
	verb_answer(f, 200, JSON_TYPE, "{\"items\":[]}");
	verb_fails(f, "wait operation " OPERATION_UUID, COMMAND_FAILED,
	    "404: no; host '" HOST_UUID "': 503: no");
	assert_code(f, FAILURE_NOT_FOUND);
}

#define SHUTDOWN "DELETE /vms/" VM_UUID "/runstate/boot"

/* Its guest is asked once; however it goes off then, it is off. */
static void
test_shutdown(void **state)
{
	static const enum vmrunstate ends[] = { VMRUNSTATE_POWEROFF, VMRUNSTATE_CRASHED };
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		verb_forget(f);
		verb_answer(f, 202, "", "");
		answer_state(f, VMRUNSTATE_RUNNING);
		answer_state(f, VMRUNSTATE_TERMINATING);
		answer_state(f, ends[i]);
		verb_ok(f, i ? "shutdown vm --then-kill 60 " VM_UUID : "shutdown vm -w " VM_UUID);
		assert_string_equal(f->said, "");
		assert_int_equal(f->n_requests, 4 * (i + 1));
		verb_asked(f, 4 * i, SHUTDOWN, "{\"force\":0}");
		verb_asked(f, 4 * i + 3, RUNSTATE, "");
	}
	/* libvirt forgets one that it has no definition of. */
	verb_forget(f);
	verb_answer(f, 202, "", "");
	answer_problem(f, 404);
	verb_answer(f, 200, JSON_TYPE, "{\"items\":[]}");
	verb_ok(f, "shutdown vm -w " VM_UUID);
	/* What force ends is off when that is answered, and what is refused is not waited for. */
	verb_forget(f);
	verb_answer(f, 204, "", "");
	answer_problem(f, 424);
	verb_ok(f, "shutdown vm -fw " VM_UUID);
	verb_fails(f, "shutdown vm -w " VM_UUID, COMMAND_FAILED, "424: no");
	verb_asked(f, f->n_requests - 1, SHUTDOWN, "");
	verb_forget(f);
	verb_answer(f, 202, "", "");
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_fails(f, "shutdown vm -w --timeout 1 " VM_UUID, COMMAND_FAILED,
	    "waiting for vm '" VM_UUID "': it is running, not off, after 1 s; its guest was asked");
	assert_code(f, FAILURE_GOES_ON);
}

/* A guest that does not obey is not waited for longer than is said. */
static void
test_then_kill(void **state)
{
	struct verb_fixture *f = *state;

	/* A state, and with the warning a success of any other request. */
	verb_forget(f);
	verb_answer(f, 202, "", "");
	verb_answer(f, 200, JSON_TYPE "Warning: 299 VirtX \"w\"\r\n", "{\"runstate\":4}");
	verb_ok(f, "shutdown vm --then-kill 1 " VM_UUID);
	assert_says(f->said, "vm '" VM_UUID "' is not off after 1 s: it is ended by force");
	verb_asked(f, f->n_requests - 1, SHUTDOWN "?if_needed=true", "{\"force\":2}");
	verb_asked(f, f->n_requests - 2, RUNSTATE, "");
	verb_forget(f);
	verb_answer(f, 202, "", "");
	answer_state(f, VMRUNSTATE_RUNNING);
	verb_fails(f, "shutdown vm --then-kill 1 " VM_UUID, COMMAND_FAILED,
	    "cannot end vm '" VM_UUID "' by force: ");
	/* Several are asked for as where force is at once. */
	verb_answer_json(f, LIST);
	verb_fails(f, "shutdown vm --then-kill 5 web db", COMMAND_USAGE,
	    "Shut down, or end by force, 2 VMs: web, db: without a terminal");
	verb_answer_json(f, LIST);
	verb_answer(f, 202, "", "");
	answer_state(f, VMRUNSTATE_POWEROFF);
	verb_ok(f, "shutdown vm --then-kill 5 --yes --filter name=web");
	assert_string_equal(f->out, "web: poweroff\n");
}

static void
test_usage(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "wait vm web db", "--for is missing" },
		{ "wait vm --for of web db", "--for needs one of running, poweroff, paused, gone" },
		{ "wait vm --for gon web db", "did you mean 'gone'?" },
		{ "wait vm --for running", "VM is missing" },
		{ "wait operation", "ID is missing" },
		{ "wait", "a command is missing" },
		{ "shutdown vm --then-kill 0 --yes web db",
		    "--then-kill needs a whole number from 1" },
		{ "shutdown vm -f --then-kill 5 --all", "--force ends it at once" },
		{ "shutdown vm -f --then-kill 5 " VM_UUID, "--force ends it at once" },
		{ "shutdown vm --then-kill x " VM_UUID, "--then-kill needs a whole number from 1" },
		{ "shutdown vm -fff --all", "once or twice" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		verb_fails(f, cases[i].line, COMMAND_USAGE, cases[i].words);
	assert_int_equal(f->n_requests, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_gone),
		TEST(test_unknown),
		TEST(test_deadline),
		TEST(test_no_answer),
		TEST(test_several),
		TEST(test_operation),
		TEST(test_operation_elsewhere),
		TEST(test_shutdown),
		TEST(test_then_kill),
		TEST(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
