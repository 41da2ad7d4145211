/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VMs of a host that is dead: whom the commands ask, and what they tell. */
#include "verb_fixture.h"

#include <string.h>

#define TWO   "aaaaaaaa-2222-3333-4444-555555555552"
#define THREE "aaaaaaaa-2222-3333-4444-555555555553"
#define VM2   "11111111-2222-3333-4444-55555555555b"

#define RUNS_ON(host) "{\"runstate\":5,\"host\":\"" host "\",\"reason\":\"\"}"
#define NONE	      "{\"items\":[]}"
#define OPERATIONS(op, ts, state)                                                         \
	"{\"items\":[{\"id\":\"" OPERATION_UUID "\",\"op\":\"" op "\",\"state\":\"" state \
	"\",\"msg\":\"no such bridge\",\"ts\":" ts "}]}"
#define HOST_ITEM(uuid, memory)                                           \
	"{\"uuid\":\"" uuid "\",\"fields\":{\"name\":\"h\",\"cstate\":1," \
	"\"memoryavailable\":" memory "}}"
#define VM_ITEM(uuid, name) "{\"uuid\":\"" uuid "\",\"fields\":{\"name\":\"" name "\"}}"

static bool at_terminal;
static char *asked; /* the last question, to which the answer is a no */

bool __wrap_terminal_is_there(void);
bool __wrap_terminal_ask(const char *question);

bool
__wrap_terminal_is_there(void)
{
	return at_terminal;
}

bool
__wrap_terminal_ask(const char *question)
{
	str_set(&asked, question);
	return false;
}

/* It is asked for, and its boot is followed to the end. */
static void
test_a_vm(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_answer(f, 204, "", "");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    OPERATIONS("VmFailover", "70", "completed"));
	verb_answer(
	    f, 200, "Content-Type: application/json\r\n", OPERATIONS("VmBoot", "71", "started"));
	verb_answer(
	    f, 200, "Content-Type: application/json\r\n", OPERATIONS("VmBoot", "71", "failed"));
	verb_fails(f, "failover vm -y -t " TWO " " VM_UUID, COMMAND_FAILED, "no such bridge");
	assert_says(f->err.detail, "cannot fail vm '" VM_UUID "' over");
	assert_says(f->err.detail, "it is on host '" TWO "', and not known to run there");
	verb_asked(f, 1, "POST /vms/" VM_UUID "/failover", "{\"host\":\"" TWO "\"}");
	verb_asked(f, 2, "GET /operations?host=" TWO "&vm=" VM_UUID "&op=VmFailover&since=0", "");
	verb_asked(f, 3, "GET /operations?host=" TWO "&vm=" VM_UUID "&op=VmBoot&since=70", "");
	verb_asked(f, 4, "GET /operations?host=" TWO "&vm=" VM_UUID "&op=VmBoot&since=70", "");
	assert_int_equal(f->n_requests, 5);
}

/* It was wanted off: there is no boot. */
static void
test_one_that_is_off(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 404, "Content-Type: text/plain\r\n", "not known");
	verb_answer(f, 204, "", "");
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(TWO));
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    OPERATIONS("VmFailover", "70", "completed"));
	verb_answer(f, 200, "Content-Type: application/json\r\n", NONE);
	verb_ok(f, "failover vm --yes " VM_UUID);
	verb_asked(f, 1, "POST /vms/" VM_UUID "/failover", "{\"host\":\"\"}");
	assert_int_equal(f->n_requests, 5);
	assert_string_equal(f->out, "");
}

static void
test_a_recall(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_fails(f, "recall vm " VM_UUID, COMMAND_FAILED, "--yes does it");
	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_answer(f, 204, "", "");
	verb_answer(f, 200, "Content-Type: application/json\r\n",
	    OPERATIONS("VmRecall", "70", "completed"));
	verb_answer(
	    f, 200, "Content-Type: application/json\r\n", OPERATIONS("VmBoot", "71", "completed"));
	verb_ok(f, "recall vm -fy -t " TWO " " VM_UUID);
	verb_asked(f, 2, "POST /vms/" VM_UUID "/recall", "{\"host\":\"" TWO "\",\"force\":true}");
	verb_asked(f, 3, "GET /operations?host=" TWO "&vm=" VM_UUID "&op=VmRecall&since=0", "");
	verb_asked(f, 4, "GET /operations?host=" TWO "&vm=" VM_UUID "&op=VmBoot&since=70", "");
	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_answer(f, 409, "Content-Type: application/problem+json\r\n",
	    "{\"status\":409,\"detail\":\"it was asked back 54 s ago\"}");
	verb_fails(f, "recall vm -y " VM_UUID, COMMAND_FAILED, "it was asked back 54 s ago");
	verb_asked(f, 6, "POST /vms/" VM_UUID "/recall", "{\"host\":\"\",\"force\":false}");
}

static void
test_nobody_is_asked(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_fails(f, "failover vm " VM_UUID, COMMAND_FAILED, "--yes does it");
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->n_requests, 1);
}

static void
test_one_that_is_held(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "Content-Type: application/json\r\n", RUNS_ON(HOST_UUID));
	verb_answer(f, 409, "Content-Type: application/problem+json\r\n",
	    "{\"status\":409,\"title\":\"Conflict\",\"detail\":\"it is held by host_id 7\"}");
	verb_fails(f, "failover vm -y " VM_UUID, COMMAND_FAILED, "it is held by host_id 7");
}

/* Each VM goes where most is left by then; a host that cannot have it is passed over, and what is
 * held no other host could have. */
static void
test_a_host(void **state)
{
	static const char json[] = "Content-Type: application/json\r\n";
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(
	    f, 200, json, "{\"items\":[" VM_ITEM(VM_UUID, "one") "," VM_ITEM(VM2, "two") "]}");
	verb_answer(f, 200, json,
	    "{\"items\":[" HOST_ITEM(HOST_UUID, "9999") "," HOST_ITEM(TWO, "900") "," HOST_ITEM(
		THREE, "600") "]}");
	verb_answer(f, 424, "Content-Type: application/problem+json\r\n",
	    "{\"status\":424,\"detail\":\"libvirt refuses the VM\"}");
	verb_answer(f, 204, "", "");
	verb_answer(f, 409, "Content-Type: application/problem+json\r\n",
	    "{\"status\":409,\"detail\":\"it is held by host_id 7\"}");
	verb_answer(f, 200, json, OPERATIONS("VmFailover", "70", "completed"));
	verb_answer(f, 200, json, NONE);
	verb_fails(f, "failover host -y " HOST_UUID, COMMAND_FAILED, "1 of its 2 VMs");
	verb_asked(f, 0, "GET /vms", "\"host\":\"" HOST_UUID "\"");
	verb_asked(f, 2, "POST /vms/" VM_UUID "/failover", "{\"host\":\"" TWO "\"}");
	verb_asked(f, 3, "POST /vms/" VM_UUID "/failover", "{\"host\":\"" THREE "\"}");
	verb_asked(f, 4, "POST /vms/" VM2 "/failover", "{\"host\":\"" TWO "\"}");
	assert_int_equal(f->n_requests, 7);
	assert_says(f->out, "VM                                    NAME  WENT TO");
	assert_says(f->out, VM_UUID "  one   " THREE);
	assert_says(f->out, "it is held by host_id 7");
}

static void
test_a_host_without_vms(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer_json(f, NONE);
	verb_ok(f, "failover host " HOST_UUID);
	assert_says(f->said, "no VM of host '" HOST_UUID "' is known");
	assert_int_equal(f->n_requests, 1);
}

/* All go to the one that is named, be it in whatever state. */
static void
test_to_one_host(void **state)
{
	static const char json[] = "Content-Type: application/json\r\n";
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, json, "{\"items\":[" VM_ITEM(VM_UUID, "one") "]}");
	verb_answer(
	    f, 200, json, "{\"items\":[" HOST_ITEM(TWO, "900") "," HOST_ITEM(THREE, "1") "]}");
	verb_answer(f, 204, "", "");
	verb_answer(f, 200, json, NONE);
	verb_ok(f, "failover host -y -t " THREE " " HOST_UUID);
	verb_asked(f, 2, "POST /vms/" VM_UUID "/failover", "{\"host\":\"" THREE "\"}");
	verb_forget(f);
	verb_answer(f, 200, json, "{\"items\":[" VM_ITEM(VM_UUID, "one") "]}");
	verb_answer(f, 200, json, "{\"items\":[" HOST_ITEM(TWO, "900") "]}");
	verb_fails(f, "failover host -y -t " THREE " " HOST_UUID, COMMAND_FAILED,
	    "no host is active that may have VMs");
}

#define HOST(uuid, watchdog, ha)                                                          \
	"{\"uuid\":\"" uuid "\",\"cstate\":3,\"ts\":1600000000000,\"watchdog\":" watchdog \
	",\"ha\":" ha "}"
#define ARMED(io, fire) \
	"{\"armed\":true,\"host_id\":1,\"io_timeout\":" io ",\"fire_timeout\":" fire "}"
#define UNARMED "{\"armed\":false}"

/* Who is asked reads whether the host was reset, or has to be looked at. */
static void
test_what_is_asked(void **state)
{
	static const char json[] = "Content-Type: application/json\r\n";
	static const struct {
		const char *from, *to, *words;
		bool safe;
	} cases[] = {
		{ HOST(HOST_UUID, "2", UNARMED), HOST(TWO, "2", ARMED("10", "60")),
		    "was not armed: nothing has reset it", false },
		{ HOST(HOST_UUID, "1", ARMED("10", "60")), HOST(TWO, "2", ARMED("10", "60")),
		    "armed without a watchdog", false },
		{ HOST(HOST_UUID, "2", ARMED("10", "60")), HOST(TWO, "2", UNARMED),
		    "and host '" TWO "' is not armed", false },
		{ HOST(HOST_UUID, "2", ARMED("20", "90")), HOST(TWO, "2", ARMED("10", "60")),
		    "an io_timeout of 20 s and a watchdog that fires after 90 s, and host '" TWO
		    "' has an io_timeout of 10 s and a watchdog that fires after 60 s",
		    false },
		{ HOST(HOST_UUID, "2", ARMED("10", "60")), HOST(TWO, "2", ARMED("10", "60")),
		    ": it has been reset by when its leases are free. Do it?", true },
		{ HOST(HOST_UUID, "2", ARMED("10", "60")), NULL,
		    "as 'virtx ha' shows. If not: Make", false },
	};
	static const char *const commands[] = { "failover vm", "recall vm", "failover host" };
	struct verb_fixture *f = *state;

	at_terminal = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(commands); i++) {
		const char *from = cases[i / 3].from, *to = cases[i / 3].to;
		bool host = i % 3 == 2;
		_free_ char *line = xasprintf(
		    "%s %s %s", commands[i % 3], to ? "-t " TWO : "", host ? HOST_UUID : VM_UUID);

		verb_forget(f);
		if (host) {
			verb_answer(f, 200, json, "{\"items\":[" VM_ITEM(VM_UUID, "one") "]}");
			verb_answer(f, 200, json, "{\"items\":[" HOST_ITEM(TWO, "900") "]}");
		} else {
			verb_answer(f, 200, json, RUNS_ON(HOST_UUID));
		}
		verb_answer(f, 200, json, from);
		if (to)
			verb_answer(f, 200, json, to);
		verb_fails(f, line, COMMAND_FAILED, "nothing was done");
		assert_says(asked, cases[i / 3].words);
		assert_says(
		    asked, "Host '" HOST_UUID "' (failed, heard of last 2020-09-13T12:26:40+0000)");
		assert_int_equal(
		    strstr(asked, "Make sure that it is powered off") == NULL, cases[i / 3].safe);
	}
	/* Its host is known to no one. */
	verb_forget(f);
	verb_answer(f, 404, "Content-Type: text/plain\r\n", "not known");
	verb_fails(f, "failover vm " VM_UUID, COMMAND_FAILED, "nothing was done");
	assert_says(asked, "Whether host '(not known)' was armed is not known. Make sure");
	str_set(&asked, NULL);
	at_terminal = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_vm),
		TEST(test_one_that_is_off),
		TEST(test_a_recall),
		TEST(test_nobody_is_asked),
		TEST(test_what_is_asked),
		TEST(test_one_that_is_held),
		TEST(test_a_host),
		TEST(test_a_host_without_vms),
		TEST(test_to_one_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
