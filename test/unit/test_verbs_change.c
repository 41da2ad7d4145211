/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that change something: what they send, when they end, and how they fail. */
#include "verb_fixture.h"

#include <string.h>

#include "virtx/failure.h"

#define LATER "Location: /operations/" OPERATION_UUID "\r\n"

static void
test_what_is_sent(void **state)
{
	static const struct {
		const char *line, *request, *body;
	} cases[] = {
		{ "shutdown vm -f " VM_UUID, "DELETE /vms/" VM_UUID "/runstate/boot",
		    "{\"force\":1}" },
		{ "shutdown vm -ff " VM_UUID, "DELETE /vms/" VM_UUID "/runstate/boot",
		    "{\"force\":2}" },
		{ "pause vm " VM_UUID, "POST /vms/" VM_UUID "/runstate/pause", "" },
		{ "resume vm " VM_UUID, "DELETE /vms/" VM_UUID "/runstate/pause", "" },
		{ "reboot vm " VM_UUID, "POST /vms/" VM_UUID "/runstate/reboot", "" },
		{ "reset vm " VM_UUID, "POST /vms/" VM_UUID "/runstate/reset", "" },
		{ "delete vm " VM_UUID, "DELETE /vms/" VM_UUID, "{\"deletestorage\":false}" },
		{ "delete vm " VM_UUID " --storage", "DELETE /vms/" VM_UUID,
		    "{\"deletestorage\":true}" },
		{ "boot vm " VM_UUID, "POST /vms/" VM_UUID "/runstate/boot",
		    "{\"cloud_init\":[]}" },
		{ "abort migrate vm " VM_UUID, "DELETE /vms/" VM_UUID "/runstate/migrate", "" },
		{ "register vm -h " HOST_UUID " " VM_UUID, "PUT /vms/" VM_UUID "/register",
		    "{\"host\":\"" HOST_UUID "\"}" },
		{ "register vm " VM_UUID, "PUT /vms/" VM_UUID "/register", "{\"host\":\"\"}" },
		{ "maintain host -e " HOST_UUID, "DELETE /hosts/" HOST_UUID "/maintenance",
		    "{\"back\":false}" },
		{ "maintain host -eb " HOST_UUID, "DELETE /hosts/" HOST_UUID "/maintenance",
		    "{\"back\":true}" },
		{ "forget host " HOST_UUID, "DELETE /hosts/" HOST_UUID, "" },
		{ "forget host -p " HOST_UUID, "DELETE /hosts/" HOST_UUID "?put_out=true", "" },
		{ "forget host " HOST_UUID " --put-out", "DELETE /hosts/" HOST_UUID "?put_out=true",
		    "" },
		{ "token revoke ci", "DELETE /auth/tokens/ci", "" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_ok(f, cases[i].line);
		assert_string_equal(f->out, "");
		assert_string_equal(f->said, "");
		verb_asked(f, i, cases[i].request, cases[i].body);
		if (strlen(f->requests[i].body) != strlen(cases[i].body))
			fail_msg("'%s': '%s'", cases[i].line, f->requests[i].body);
	}
}

static void
test_usage(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "shutdown vm -fff " VM_UUID, "--force can be given once or twice" },
		{ "boot vm -m /dev/null " VM_UUID, "--ci-metadata needs --ci-userdata" },
		{ "maintain host -b " HOST_UUID, "--back needs --end" },
		{ "maintain host -nw " HOST_UUID, "--dry-run goes with neither" },
		{ "maintain host -ne " HOST_UUID, "--dry-run goes with neither" },
		{ "migrate vm -B 0 " VM_UUID, "--bandwidth needs a whole number from 1" },
		{ "migrate vm -a stop " VM_UUID, "--timeout-action needs one of abort, pause" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		verb_fails(f, cases[i].line, COMMAND_USAGE, cases[i].words);
	assert_int_equal(f->n_requests, 0);
}

/* Work that the server puts off is waited for, and its end is that of the command. */
static void
test_put_off(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"started\",\"progress\":-1}");
	verb_answer(f, 200, "", "{\"state\":\"completed\",\"msg\":\"a lease is left\\u0007\"}");
	verb_ok(f, "boot vm " VM_UUID);
	assert_string_equal(f->said, "virtx: warning: a lease is left?\n");
	verb_asked(f, 2, "GET /operations/" OPERATION_UUID, "");
	assert_int_equal(f->n_requests, 3);
	/* Where the work itself has another success than to ask for it. */
	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"completed\"}");
	verb_ok(f, "shutdown vm -f " VM_UUID);
	assert_int_equal(f->n_requests, 5);

	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"failed\",\"msg\":\"no space\"}");
	verb_fails(f, "boot vm " VM_UUID, COMMAND_FAILED,
	    "cannot boot vm '" VM_UUID "': operation '" OPERATION_UUID "' failed: no space");
	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"started\",\"progress\":1}");
	verb_fails(f, "boot vm --timeout 2 " VM_UUID, COMMAND_FAILED,
	    "operation '" OPERATION_UUID "' goes on: not ended within 2 s");
}

/* A guest that is asked, and what goes on unless -w is given. */
static void
test_not_waited_for(void **state)
{
	static const char *const lines[] = { "shutdown vm " VM_UUID, "migrate vm -l " VM_UUID,
		"maintain host " HOST_UUID };
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		verb_ok(f, lines[i]);
		assert_int_equal(f->n_requests, i + 1);
	}
	verb_forget(f);
	verb_answer(f, 202, "", "");
	verb_ok(f, "migrate vm -w " VM_UUID);
	assert_says(
	    f->said, "warning: the server names no operation, so that its end is not waited");
	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"completed\",\"msg\":\"placed on h1: it has most\"}");
	verb_ok(f, "maintain host -w " HOST_UUID);
	assert_string_equal(f->said, "virtx: placed on h1: it has most\n");
}

static void
test_migrate(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_ok(f, "migrate vm -l -p -B 10 -d 300 -t 60 -a post-copy -h " HOST_UUID " " VM_UUID);
	verb_asked(f, 0, "POST /vms/" VM_UUID "/runstate/migrate",
	    "{\"host\":\"" HOST_UUID "\",\"migration_type\":1,\"bandwidth\":10,\"downtime\":300,"
	    "\"post_copy\":true,\"timeout\":60,\"timeout_action\":2}");
	verb_forget(f);
	verb_answer(f, 409, "", "busy");
	verb_fails(
	    f, "migrate vm " VM_UUID, COMMAND_FAILED, "cannot migrate vm '" VM_UUID "': 409: busy");
	verb_asked(f, 1, "POST /vms/" VM_UUID "/runstate/migrate", "{\"host\":\"\"");
}

#define PLACEMENT                                                                                  \
	"{\"host\":\"%s\",\"reason\":\"it has the most memory\",\"candidates\":[{\"host\":\"h1\"," \
	"\"name\":\"one\",\"feasible\":true,\"memory\":512,\"cpu\":125,\"vms\":3},"                \
	"{\"host\":\"h2\",\"name\":\"two\",\"reason\":\"in maintenance\"}]}"

/* A server that knows no dry run would do it: it is asked for something else first. */
static void
test_dry_runs(void **state)
{
	struct verb_fixture *f = *state;
	_free_ char *chosen = xasprintf(PLACEMENT, "h1"), *none = xasprintf(PLACEMENT, "");

	verb_forget(f);
	verb_answer(f, 200, "Content-Type: text/plain\r\n", "ok\n");
	verb_answer(f, 200, "", chosen);
	verb_ok(f, "migrate vm -n " VM_UUID);
	verb_asked(f, 0, "GET /healthz", "");
	verb_asked(f, 1, "POST /vms/" VM_UUID "/runstate/migrate?dry_run=true", "{\"host\":\"\"");
	assert_string_equal(f->out,
	    "host:   h1\n"
	    "reason: it has the most memory\n"
	    "\n"
	    "HOST  NAME  FEASIBLE  MEMORY (MIB)  VCPUS/CPU  VMS  REASON\n"
	    "h1    one   yes                512       1.25    3  -\n"
	    "h2    two   no                   0       0.00    0  in maintenance\n");
	verb_forget(f);
	verb_answer(f, 200, "Content-Type: text/plain\r\n", "ok\n");
	verb_answer(f, 200, "", none);
	verb_fails(f, "migrate vm -n " VM_UUID, COMMAND_FAILED, "it has the most memory");
	verb_forget(f);
	verb_answer(f, 404, "", "");
	verb_fails(f, "migrate vm -n " VM_UUID, COMMAND_FAILED, "the server knows no dry run");
}

static void
test_plan_of_a_maintenance(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "",
	    "{\"items\":[{\"vm\":\"" VM_UUID "\",\"host\":\"h1\",\"reason\":\"it is best\"}]}");
	verb_answer(
	    f, 200, "", "{\"items\":[{\"uuid\":\"" VM_UUID "\",\"fields\":{\"name\":\"web\"}}]}");
	verb_ok(f, "maintain host -n " HOST_UUID);
	verb_asked(f, 0, "POST /hosts/" HOST_UUID "/maintenance", "{\"dry_run\":true}");
	assert_string_equal(f->out, "VM                                    NAME  TO  REASON\n"
				    "" VM_UUID "  web   h1  it is best\n");
	/* A success that is not the plan says that it has begun. */
	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_fails(f, "maintain host -n " HOST_UUID, COMMAND_FAILED,
	    "cannot maintain host '" HOST_UUID "': the answer is no success of virtxd");
	verb_forget(f);
	verb_answer(f, 409, "", "not in maintenance");
	verb_fails(f, "maintain host -e " HOST_UUID, COMMAND_FAILED,
	    "cannot end the maintenance of host '" HOST_UUID "': 409: not in maintenance");
}

static void
test_create(void **state)
{
	struct verb_fixture *f = *state;

	verb_file(f, "{\"name\":\"web\",\"memory\":{\"total\":512}}");
	verb_forget(f);
	verb_answer(f, 201, "", "\"" VM_UUID "\"");
	verb_ok(f, "create vm FILE");
	assert_string_equal(f->out, VM_UUID "\n");
	verb_asked(f, 0, "POST /vms", "{\"vmdef\":{\"name\":\"web\"");
	verb_asked(f, 0, "POST /vms", ",\"host\":\"\"}");
	verb_ok(f, "create vm -h " HOST_UUID " -o json FILE");
	assert_string_equal(f->out, "\"" VM_UUID "\"\n");
	verb_asked(f, 1, "POST /vms", ",\"host\":\"" HOST_UUID "\"}");
	verb_forget(f);
	verb_answer(f, 201, "", "5");
	verb_fails(
	    f, "create vm FILE", COMMAND_FAILED, "the VM was created, but the server's answer");
	verb_forget(f);
	verb_answer(f, 202, LATER, "");
	verb_answer(f, 200, "", "{\"state\":\"completed\",\"vm\":\"" VM_UUID "\"}");
	verb_ok(f, "create vm FILE");
	assert_string_equal(f->out, VM_UUID "\n");
	verb_forget(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "update vm -sf " VM_UUID " FILE");
	verb_asked(f, 5, "PUT /vms/" VM_UUID, "\"deletestorage\":true");
	verb_asked(f, 5, "PUT /vms/" VM_UUID, "\"force\":true");
	verb_asked(f, 5, "PUT /vms/" VM_UUID, "\"vmdef\":{\"name\":\"web\"");
	verb_fails(f, "update vm -a sometimes " VM_UUID " FILE", COMMAND_FAILED,
	    "--ha needs one of none, restart, not 'sometimes'");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
	verb_fails(f, "update vm -O 10 " VM_UUID " FILE", COMMAND_FAILED, "--ha-order needs");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
	verb_file(f, "{\"name\":\"web\",\"custom\":[{\"name\":\"ha\",\"value\":\"restart\"},"
		     "{\"name\":\"owner\",\"value\":\"ann\"}]}");
	verb_ok(f, "update vm --ha none --ha-order 9 " VM_UUID " FILE");
	verb_asked(f, 6, "PUT /vms/" VM_UUID,
	    "\"custom\":[{\"name\":\"ha\",\"value\":\"none\"},"
	    "{\"name\":\"owner\",\"value\":\"ann\"},"
	    "{\"name\":\"ha_order\",\"value\":\"9\"}]");
}

static void
test_bad_definitions(void **state)
{
	static const struct {
		const char *content, *words;
	} cases[] = {
		{ "{", "'/dev/fd/" },
		{ "{}", "the definition says nothing" },
		{ "{\"nmae\":\"web\"}", "unknown key 'nmae', did you mean 'name'?" },
		{ "{\"memory\":{\"total\":\"x\"}}", "memory.total" },
		{ "{\"def\":{\"nmae\":\"web\"}}",
		    "line 1: def: unknown key 'nmae', did you mean 'name'?" },
		{ "{\"vmdef\":{\"name\":\"web\"}}", "but has one under the key 'vmdef'" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_file(f, cases[i].content);
		verb_fails(f, "create vm FILE", COMMAND_FAILED, cases[i].words);
		assert_says(f->err.detail, "cannot create a vm from '");
		assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
		verb_fails(f, "update vm " VM_UUID " FILE", COMMAND_FAILED, cases[i].words);
		assert_says(f->err.detail, "cannot update vm '" VM_UUID "'");
	}
	verb_fails(f, "create vm /nonexistent", COMMAND_FAILED,
	    "cannot open '/nonexistent': No such file or directory");
	assert_int_equal(f->n_requests, 0);
}

static void
test_cloud_init(void **state)
{
	static const struct {
		const char *content, *words;
	} bad[] = {
		{ "#caf\xe9\n", "byte 4 (0xe9) is no UTF-8" },
		{ "\x1f\x8b\x08",
		    "byte 1 (0x8b) is no UTF-8: the file is compressed, give it as text" },
	};
	struct verb_fixture *f = *state;

	verb_file(f, "#cloud-config\n");
	verb_ok(f, "boot vm -u FILE -c /dev/null " VM_UUID);
	verb_asked(f, 0, "POST /vms/" VM_UUID "/runstate/boot",
	    "{\"cloud_init\":[{\"name\":\"ci-userdata\",\"value\":\"#cloud-config\\n\"},"
	    "{\"name\":\"ci-networkconfig\",\"value\":\"\"}]}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		verb_file(f, bad[i].content);
		verb_fails(f, "boot vm -u FILE " VM_UUID, COMMAND_FAILED, bad[i].words);
		assert_says(f->err.detail, "cannot boot vm '" VM_UUID "': '");
	}
	verb_fails(f, "boot vm -u /dev/zero " VM_UUID, COMMAND_FAILED,
	    "'/dev/zero' is larger than 256 KiB");
	assert_int_equal(f->n_requests, 1);
}

static void
test_repair(void **state)
{
	static const char found[] =
	    "{\"items\":[{\"kind\":\"lease-without-vm\",\"vm\":\"v\",\"path\":\"/vms/ds/a\","
	    "\"action\":\"delete-lease\",\"done\":%s,\"detail\":\"d\"}]}";
	struct verb_fixture *f = *state;
	_free_ char *dry = xasprintf(found, "false"), *done = xasprintf(found, "true");

	verb_forget(f);
	verb_answer(f, 200, "", "{\"items\":[{\"uuid\":\"h1\"},{\"uuid\":\"h2\"}]}");
	verb_answer(f, 200, "", dry);
	verb_ok(f, "repair");
	verb_asked(f, 0, "GET /hosts", "\"cstate\":1");
	verb_asked(f, 1, "POST /hosts/h1/repair",
	    "{\"apply\":false,\"deletestorage\":false,\"define\":false}");
	verb_asked(f, 2, "POST /hosts/h2/repair", "");
	/* What is on the storage is found by both, and shown once. */
	assert_string_equal(f->out,
	    "PROBLEM           VM  PATH       ACTION        DONE     DETAIL\n"
	    "lease-without-vm  v   /vms/ds/a  delete-lease  dry run  d\n");
	verb_answer_json(f, done);
	verb_ok(f, "repair -yds -h " HOST_UUID);
	verb_asked(f, 3, "POST /hosts/" HOST_UUID "/repair",
	    "{\"apply\":true,\"deletestorage\":true,\"define\":true}");
	assert_says(f->out, "delete-lease  yes   d\n");
	/* One of them has done what the other could not. */
	verb_forget(f);
	verb_answer(f, 200, "", "{\"items\":[{\"uuid\":\"h1\"},{\"uuid\":\"h2\"}]}");
	verb_answer(f, 200, "", dry);
	verb_answer(f, 200, "", done);
	verb_ok(f, "repair -y");
	assert_says(f->out, "delete-lease  no    d\n");
	assert_says(f->out, "delete-lease  yes   d\n");
	/* What was done before a host fails is told. */
	verb_forget(f);
	verb_answer(f, 200, "", "{\"items\":[{\"uuid\":\"h1\"},{\"uuid\":\"h2\"}]}");
	verb_answer(f, 200, "", dry);
	verb_answer(f, 503, "", "it left");
	verb_fails(f, "repair -y", COMMAND_FAILED, "cannot repair host 'h2': 503: it left");
	assert_says(f->out, "delete-lease  no    d\n");
	verb_forget(f);
	verb_answer(f, 500, "", "");
	verb_fails(f, "repair", COMMAND_FAILED, "cannot list the hosts: 500");
}

static void
test_storage_init(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"uuid\":\"" HOST_UUID "\",\"root\":\"/vms\"}");
	verb_ok(f, "storage init");
	assert_string_equal(f->out, HOST_UUID "\n");
	verb_asked(f, 0, "POST /storage", "");
	verb_forget(f);
	verb_answer(f, 409, "", "it is made");
	verb_fails(f, "storage init", COMMAND_FAILED, "cannot make the storage: 409: it is made");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_sent),
		TEST(test_usage),
		TEST(test_put_off),
		TEST(test_not_waited_for),
		TEST(test_migrate),
		TEST(test_dry_runs),
		TEST(test_plan_of_a_maintenance),
		TEST(test_create),
		TEST(test_bad_definitions),
		TEST(test_cloud_init),
		TEST(test_repair),
		TEST(test_storage_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
