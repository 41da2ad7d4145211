/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer of one host, and what the one that forwarded the request knows by it. */
#include "api/answer_news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops/context.h"

#define FRONT "aaaaaaaa-0000-4000-8000-000000000000"
#define BACK  "bbbbbbbb-0000-4000-8000-000000000000"
#define THIRD "cccccccc-0000-4000-8000-000000000000"
#define VM    "11111111-0000-4000-8000-000000000000"

static char front_uuid[] = FRONT, back_uuid[] = BACK, vm_uuid[] = VM;
static char value[16384];		 /* of the header in the last answer, "" for none */
static char known[INVENTORY_STAMP_SIZE]; /* of what the front asks with */

static struct inventory *
make(char *self)
{
	struct inventory *inventory = inventory_new();
	struct host_report report = { .uuid = self, .has_def = true };

	report.def.name = self;
	inventory_report_host(inventory, &report);
	inventory_set_host(inventory, FRONT, "front", CSTATE_ACTIVE);
	inventory_set_host(inventory, BACK, "back", CSTATE_ACTIVE);
	inventory_set_host(inventory, THIRD, "third", CSTATE_ACTIVE);
	return inventory;
}

static void
report(struct inventory *inventory, enum vmrunstate runstate, char *name)
{
	struct vm_report report = { .uuid = vm_uuid, .runstate = runstate, .has_def = true };

	report.def.name = name;
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
}

static void
on_send(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	value[0] = '\0';
	for (size_t i = 0; i < n_headers; i++) {
		if (strcmp(headers[i].name, REQUEST_NEWS) == 0)
			snprintf(value, sizeof(value), "%s", headers[i].value);
	}
	free(body);
}

/* What the back answers. */
static void
answer(struct inventory *back, enum route_id route, bool looped)
{
	struct operations *operations = operations_new();
	struct context ctx = { .inventory = back, .operations = operations };
	const char *id = operations_start(operations, "VmBoot", VM, BACK, "me");
	struct request req = {
		.route = &routes[route], .looped = looped, .known = known, .send = on_send
	};

	if (route == ROUTE_VM_CREATE)
		memcpy(req.vm, VM, sizeof(VM));
	else
		snprintf(req.param, sizeof(req.param), "%s",
		    route == ROUTE_OPERATION_GET      ? id
		    : routes[route].scope == SCOPE_VM ? VM
						      : BACK);
	answer_news_attach(&ctx, &req);
	request_reply(&req, 204);
	operations_free(operations);
}

static void
expect(const struct inventory *front, const char *host, enum vmrunstate runstate, const char *name)
{
	const struct inventory_vm *vm = inventory_find_vm(front, VM);

	assert_non_null(vm);
	assert_string_equal(vm->vm.runinfo.host, host);
	assert_int_equal(vm->vm.runinfo.runstate, runstate);
	assert_string_equal(vm->vm.def.name, name);
}

static void
test_life(void **state)
{
	static char name[] = "w\xc3\xa9"
			     "b\xf0\x9f\x90\xa7\n\"",
		    other[] = "other";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);

	report(back, VMRUNSTATE_POWEROFF, name);
	answer(back, ROUTE_VM_CREATE, true);
	for (const char *p = value; *p; p++)
		assert_true(*p >= ' ' && *p <= '~');
	answer_news_take(front, 0, BACK, value);
	expect(front, BACK, VMRUNSTATE_POWEROFF, name);
	report(back, VMRUNSTATE_RUNNING, name);
	answer(back, ROUTE_VM_BOOT, true);
	answer_news_take(front, 0, BACK, value);
	expect(front, BACK, VMRUNSTATE_RUNNING, name);
	report(back, VMRUNSTATE_PAUSED, other);
	answer(back, ROUTE_OPERATION_GET, true);
	answer_news_take(front, 0, BACK, value);
	expect(front, BACK, VMRUNSTATE_PAUSED, other);
	inventory_remove_vm(back, VM);
	answer(back, ROUTE_VM_DELETE, true);
	answer_news_take(front, 0, BACK, value);
	assert_null(inventory_find_vm(front, VM));
	inventory_free(front);
	inventory_free(back);
}

/* The answer of the back to a GET, which the front takes: whether it had news. */
static bool
brings_news(struct inventory *front, struct inventory *back)
{
	inventory_get_stamp(front, VM, known);
	answer(back, ROUTE_VM_GET, true);
	known[0] = '\0';
	if (*value)
		answer_news_take(front, inventory_mark(front), BACK, value);
	return *value;
}

/* What the front knows already, it is not told again. */
static void
test_known(void **state)
{
	static char name[] = "web", other[] = "db";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);
	struct host_digest digest;
	struct host_info info;
	struct vm_event event = {
		.uuid = vm_uuid, .host = (char[]){ THIRD }, .runstate = VMRUNSTATE_RUNNING
	};

	report(back, VMRUNSTATE_POWEROFF, name);
	assert_true(brings_news(front, back));
	assert_false(brings_news(front, back));
	report(back, VMRUNSTATE_RUNNING, name);
	assert_true(brings_news(front, back));
	assert_false(brings_news(front, back));
	report(back, VMRUNSTATE_RUNNING, other);
	assert_true(brings_news(front, back));
	assert_false(brings_news(front, back));
	/* The same as an older one, but later: what was told in between is not to win. */
	report(back, VMRUNSTATE_PAUSED, other);
	report(back, VMRUNSTATE_RUNNING, other);
	assert_true(brings_news(front, back));
	inventory_set_maintenance(back, BACK, true);
	assert_true(brings_news(front, back));
	assert_false(brings_news(front, back));
	/* Somebody else has it, as the front was told. */
	assert_true(inventory_get_self(back, &info, &digest));
	assert_int_equal(inventory_take_host(front, &info, &digest), INVENTORY_TAKEN);
	event.ts = inventory_find_vm(front, VM)->vm.ts + 1;
	assert_int_equal(inventory_take_event(front, &event), INVENTORY_CLAIM);
	assert_true(brings_news(front, back));
	expect(front, BACK, VMRUNSTATE_RUNNING, other);
	inventory_free(front);
	inventory_free(back);
}

/* The host was started anew, and its clock had been set back: it has the last word all the same,
 * but on what came in after it was asked. */
static void
test_clock_set_back(void **state)
{
	static char name[] = "web";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);
	struct vm_info before = { .uuid = vm_uuid,
		.host = (char[]){ BACK },
		.name = name,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = now_ms() + 60000 };
	uint64_t mark = inventory_mark(front);

	assert_int_equal(inventory_take_info(front, &before), INVENTORY_TAKEN);
	report(back, VMRUNSTATE_RUNNING, name);
	answer(back, ROUTE_VM_BOOT, true);
	answer_news_take(front, mark, BACK, value);
	expect(front, BACK, VMRUNSTATE_POWEROFF, name);
	answer_news_take(front, inventory_mark(front), BACK, value);
	expect(front, BACK, VMRUNSTATE_RUNNING, name);
	inventory_free(front);
	inventory_free(back);
}

/* The VM has ended while the answer was under way: that its host did not know it yet does not bring
 * it back, though the host's clock is ahead. */
static void
test_ended_meanwhile(void **state)
{
	static char name[] = "web";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);
	struct vm_event end = { .uuid = vm_uuid, .host = (char[]){ BACK } };
	uint64_t mark;

	report(back, VMRUNSTATE_POWEROFF, name);
	answer(back, ROUTE_VM_BOOT, true);
	answer_news_take(front, inventory_mark(front), BACK, value);
	expect(front, BACK, VMRUNSTATE_POWEROFF, name);
	mark = inventory_mark(front);
	end.runstate = VMRUNSTATE_DELETED;
	end.ts = inventory_find_vm(front, VM)->vm.ts;
	assert_int_equal(inventory_take_event(front, &end), INVENTORY_TAKEN);
	report(back, VMRUNSTATE_RUNNING, name);
	answer(back, ROUTE_VM_BOOT, true);
	answer_news_take(front, mark, BACK, value);
	assert_null(inventory_find_vm(front, VM));
	/* Asked after that, it has the last word. */
	answer_news_take(front, inventory_mark(front), BACK, value);
	expect(front, BACK, VMRUNSTATE_RUNNING, name);
	inventory_free(front);
	inventory_free(back);
}

/* While the back makes it somebody defines it by hand on a third host, which takes it for its own
 * until it is told whose it is. */
static void
test_ended_elsewhere(void **state)
{
	static char name[] = "web";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);
	struct vm_info other = { .uuid = vm_uuid,
		.host = (char[]){ THIRD },
		.name = name,
		.runstate = VMRUNSTATE_POWEROFF,
		.ts = now_ms() - 2000 };
	struct vm_event end = { vm_uuid, other.host, VMRUNSTATE_DELETED, other.ts + 1 };
	uint64_t mark = inventory_mark(front);

	assert_int_equal(inventory_take_info(front, &other), INVENTORY_TAKEN);
	assert_int_equal(inventory_take_event(front, &end), INVENTORY_TAKEN);
	report(back, VMRUNSTATE_POWEROFF, name);
	answer(back, ROUTE_VM_CREATE, true);
	answer_news_take(front, mark, BACK, value);
	expect(front, BACK, VMRUNSTATE_POWEROFF, name);
	inventory_free(front);
	inventory_free(back);
}

static void
tell_self(struct inventory *front, struct inventory *other)
{
	struct host_digest digest;
	struct host_info info;

	assert_true(inventory_get_self(other, &info, &digest));
	assert_int_equal(inventory_take_host(front, &info, &digest), INVENTORY_TAKEN);
}

/* The front believes that the VM is with the back, and is told that it is with a third host. */
static void
claim(struct inventory *front, struct inventory *back, struct inventory *third)
{
	struct vm_event event = {
		.uuid = vm_uuid, .host = (char[]){ THIRD }, .runstate = VMRUNSTATE_PAUSED
	};

	report(back, VMRUNSTATE_POWEROFF, vm_uuid);
	tell_self(front, back);
	tell_self(front, third);
	assert_true(brings_news(front, back));
	event.ts = inventory_find_vm(front, VM)->vm.ts + 1;
	assert_int_equal(inventory_take_event(front, &event), INVENTORY_CLAIM);
}

static void
take_list(struct inventory *front, uint64_t mark, const struct inventory *of, const char *host)
{
	struct vm_info_list list = { 0 };

	inventory_get_list(of, host, "", 0, &list);
	assert_int_equal(inventory_take_list(front, mark, &list), INVENTORY_TAKEN);
	model_clear(&vm_info_list_model, &list);
}

/* While the back works on its VM, its list comes, from before it had that, or after that ended: a
 * third host, which was not asked, has told of the VM before. The answer is the last word. */
static void
test_not_listed(void **state)
{
	static char third_uuid[] = THIRD;
	static const bool ends[] = { true, false };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct inventory *front = make(front_uuid), *back = make(back_uuid);
		struct inventory *third = make(third_uuid);
		uint64_t mark;

		claim(front, back, third);
		mark = inventory_mark(front);
		inventory_remove_vm(back, VM);
		take_list(front, mark, back, BACK);
		expect(front, THIRD, VMRUNSTATE_PAUSED, vm_uuid);
		if (!ends[i])
			report(back, VMRUNSTATE_RUNNING, vm_uuid);
		answer(back, ROUTE_VM_BOOT, true);
		/* It would have to have been asked before. */
		answer_news_take(front, inventory_mark(front), BACK, value);
		expect(front, THIRD, VMRUNSTATE_PAUSED, vm_uuid);
		answer_news_take(front, mark, BACK, value);
		if (ends[i])
			assert_null(inventory_find_vm(front, VM));
		else
			expect(front, BACK, VMRUNSTATE_RUNNING, vm_uuid);
		/* Who was asked and lists the VM has it. */
		claim(front, back, third);
		mark = inventory_mark(front);
		inventory_remove_vm(back, VM);
		take_list(front, mark, back, BACK);
		report(third, VMRUNSTATE_RUNNING, vm_uuid);
		take_list(front, inventory_mark(front), third, THIRD);
		answer(back, ROUTE_VM_DELETE, true);
		answer_news_take(front, mark, BACK, value);
		expect(front, THIRD, VMRUNSTATE_RUNNING, vm_uuid);
		inventory_free(front);
		inventory_free(back);
		inventory_free(third);
	}
}

/* The VM has left both hosts, for a third one: neither takes the other for that. */
static void
test_left_both(void **state)
{
	static char name[] = "web";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);

	report(front, VMRUNSTATE_POWEROFF, name);
	inventory_release_vm(front, VM);
	report(back, VMRUNSTATE_POWEROFF, name);
	inventory_release_vm(back, VM);
	answer(back, ROUTE_OPERATION_GET, true);
	answer_news_take(front, inventory_mark(front), BACK, value);
	expect(front, FRONT, VMRUNSTATE_POWEROFF, name);
	inventory_free(front);
	inventory_free(back);
}

static void
test_maintenance(void **state)
{
	struct inventory *front = make(front_uuid), *back = make(back_uuid);

	inventory_set_maintenance(back, BACK, true);
	answer(back, ROUTE_MAINTENANCE_BEGIN, true);
	answer_news_take(front, 0, BACK, value);
	assert_true(inventory_find_host(front, BACK)->maintenance);
	inventory_set_maintenance(back, BACK, false);
	answer(back, ROUTE_MAINTENANCE_END, true);
	answer_news_take(front, 0, BACK, value);
	assert_false(inventory_find_host(front, BACK)->maintenance);
	inventory_free(front);
	inventory_free(back);
}

/* A VM that has left is where the host says that it went to; of others' VMs it has no word. */
static void
test_speaks_for_its_own(void **state)
{
	static char name[] = "web";
	struct inventory *front = make(front_uuid), *back = make(back_uuid);
	struct vm_info there = { .uuid = vm_uuid,
		.host = (char[]){ THIRD },
		.name = name,
		.runstate = VMRUNSTATE_RUNNING,
		.ts = now_ms() + 1000 };

	report(back, VMRUNSTATE_RUNNING, name);
	answer(back, ROUTE_VM_GET, true);
	answer_news_take(front, 0, BACK, value);
	inventory_release_vm(back, VM);
	inventory_take_info(back, &there);
	answer(back, ROUTE_OPERATION_GET, true);
	answer_news_take(front, 0, BACK, value);
	expect(front, THIRD, VMRUNSTATE_RUNNING, name);
	answer_news_take(front, 0, BACK,
	    "{\"host\":\"" BACK "\",\"items\":[{\"uuid\":\"" VM "\",\"host\":\"" THIRD
	    "\",\"runstate\":1,\"ts\":9000000000000}]}");
	expect(front, THIRD, VMRUNSTATE_RUNNING, name);
	/* Nor does another speak in its name. */
	answer_news_take(
	    front, 0, THIRD, "{\"host\":\"" BACK "\",\"maintenance\":true,\"items\":[]}");
	assert_false(inventory_find_host(front, BACK)->maintenance);
	inventory_free(front);
	inventory_free(back);
}

static void
test_no_news(void **state)
{
	static const char *const bad[] = { "", "x", "{}", "{\"host\":\"" THIRD "\"}",
		"{\"host\":\"" BACK "\",\"items\":[{}]}",
		"{\"host\":\"" BACK "\",\"items\":[{\"uuid\":\"" VM "\",\"host\":\"" VM
		"\",\"runstate\":4,\"ts\":1}]}" };
	struct inventory *front = make(front_uuid), *back = make(back_uuid);

	answer(back, ROUTE_VM_BOOT, false);
	assert_string_equal(value, "");
	answer(back, ROUTE_VM_LIST, true);
	assert_string_equal(value, "");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		answer_news_take(front, 0, BACK, bad[i]);
	assert_null(inventory_find_vm(front, VM));
	inventory_free(front);
	inventory_free(back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_ended_meanwhile),
		cmocka_unit_test(test_ended_elsewhere),
		cmocka_unit_test(test_not_listed),
		cmocka_unit_test(test_left_both),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_speaks_for_its_own),
		cmocka_unit_test(test_no_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
