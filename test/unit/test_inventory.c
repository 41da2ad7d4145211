/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules by which what others tell becomes part of what is known. */
#include "state/inventory.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "inventory_fixture.h"
#include "state/tokens.h"

struct seen {
	int vms, gone, hosts;
};

static void
on_vm(void *arg, const struct inventory_vm *vm, bool gone)
{
	struct seen *seen = arg;

	seen->vms++;
	seen->gone += gone;
	assert_non_null(vm->vm.uuid);
}

static void
on_host(void *arg, const struct host *host)
{
	struct seen *seen = arg;

	seen->hosts++;
}

static const struct inventory_observer observer = { .vm = on_vm, .host = on_host };

static void
report(struct inventory *inventory, const char *uuid, enum vmrunstate runstate, uint64_t mark)
{
	struct vm_report report = { .runstate = runstate, .has_def = true };

	report.uuid = xstrdup(uuid);
	report.def.name = xstrdup("local");
	inventory_report_vm(inventory, mark, false, &report);
	model_clear(&vm_report_model, &report);
}

static void
expect(const struct inventory *inventory, const char *uuid, const char *host,
    enum vmrunstate runstate, int64_t ts)
{
	const struct inventory_vm *vm = inventory_find_vm(inventory, uuid);

	assert_non_null(vm);
	assert_string_equal(vm->vm.runinfo.host, host);
	assert_int_equal(vm->vm.runinfo.runstate, runstate);
	assert_int_equal(vm->vm.ts, ts);
	assert_int_equal(vm->local, strcmp(host, SELF) == 0);
}

static void
test_newer_wins(void **state)
{
	struct inventory *inventory = make();
	struct seen seen = { 0 };

	inventory_observe(inventory, &observer, &seen);
	assert_int_equal(
	    tell_state(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 90), INVENTORY_MISSING);
	assert_null(inventory_find_vm(inventory, VM));
	assert_int_equal(
	    tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "one"), INVENTORY_TAKEN);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100);
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 99), INVENTORY_OLD);
	assert_int_equal(tell(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 100, "new"), INVENTORY_OLD);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100);
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 101), INVENTORY_TAKEN);
	expect(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 101);
	assert_string_equal(inventory_find_vm(inventory, VM)->vm.def.name, "one");
	assert_int_equal(seen.vms, 2);
	/* The same with a later time is no change. */
	assert_int_equal(
	    tell(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 102, "one"), INVENTORY_TAKEN);
	assert_int_equal(seen.vms, 2);
	inventory_free(inventory);
}

static void
test_moves(void **state)
{
	struct inventory *inventory = make();
	struct vm_list_fields filter = { .host = (char[]){ THIRD } };
	struct vm_list list = { 0 };

	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "one");
	assert_int_equal(tell_state(inventory, VM, THIRD, VMRUNSTATE_RUNNING, 99), INVENTORY_OLD);
	assert_int_equal(
	    tell_state(inventory, VM, THIRD, VMRUNSTATE_RUNNING, 105), INVENTORY_TAKEN);
	expect(inventory, VM, THIRD, VMRUNSTATE_RUNNING, 105);
	inventory_list_vms(inventory, &filter, NULL, &list);
	assert_int_equal(list.n_items, 1);
	model_clear(&vm_list_model, &list);
	inventory_free(inventory);
}

static void
test_custom_fields_are_found(void **state)
{
	static const struct {
		const char *name, *value, *found;
	} cases[] = {
		{ "role", "web", "web" },
		{ "role", "", "web" },
		{ "role", "db", NULL },
		{ "other", "", NULL },
		{ "", "", "" },
	};
	struct inventory *inventory = make();
	struct vm_report vm = { .uuid = xstrdup(VM), .runstate = VMRUNSTATE_RUNNING };
	struct custom_field *custom = model_append(&vm.def.custom, &vm.def.n_custom);

	custom->name = xstrdup("role");
	custom->value = xstrdup("web");
	vm.has_def = true;
	inventory_report_vm(inventory, 0, false, &vm);
	model_clear(&vm_report_model, &vm);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vm_list_fields filter = {
			.custom = { (char *)cases[i].name, (char *)cases[i].value },
		};
		struct vm_list list = { 0 };

		inventory_list_vms(inventory, &filter, NULL, &list);
		assert_int_equal(list.n_items, cases[i].found != NULL);
		if (cases[i].found) {
			assert_true(str_equal(list.items[0].fields.custom.name, cases[i].name));
			assert_true(str_equal(list.items[0].fields.custom.value, cases[i].found));
		}
		model_clear(&vm_list_model, &list);
	}
	inventory_free(inventory);
}

static void
test_ends(void **state)
{
	struct inventory *inventory = make();
	struct seen seen = { 0 };

	inventory_observe(inventory, &observer, &seen);
	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "one");
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_DELETED, 99), INVENTORY_OLD);
	assert_int_equal(
	    tell_state(inventory, VM, OTHER, VMRUNSTATE_DELETED, 110), INVENTORY_TAKEN);
	assert_null(inventory_find_vm(inventory, VM));
	assert_int_equal(seen.gone, 1);
	/* What was under way meanwhile does not bring it back. */
	assert_int_equal(tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 105, "one"), INVENTORY_OLD);
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 110), INVENTORY_OLD);
	assert_null(inventory_find_vm(inventory, VM));
	/* One of the same uuid that was made since does. */
	assert_int_equal(
	    tell(inventory, VM, THIRD, VMRUNSTATE_POWEROFF, 111, "one"), INVENTORY_TAKEN);
	/* As the Go virtx has it: no host, no time. */
	assert_int_equal(tell_state(inventory, VM, "", VMRUNSTATE_DELETED, 0), INVENTORY_TAKEN);
	assert_null(inventory_find_vm(inventory, VM));
	inventory_free(inventory);
}

static void
test_only_members_are_believed(void **state)
{
	struct inventory *inventory = make();
	struct host_info info = { .uuid = (char[]){ VM } };
	struct host_list list = { 0 };
	struct host_list_fields all = { 0 };

	assert_int_equal(tell(inventory, VM, VM2, VMRUNSTATE_RUNNING, 1, "x"), INVENTORY_REFUSED);
	assert_int_equal(
	    tell(inventory, VM, "host", VMRUNSTATE_RUNNING, 1, "x"), INVENTORY_REFUSED);
	assert_int_equal(
	    tell(inventory, "vm", OTHER, VMRUNSTATE_RUNNING, 1, "x"), INVENTORY_REFUSED);
	assert_int_equal(tell(inventory, VM, OTHER, VMRUNSTATE_NONE, 1, "x"), INVENTORY_REFUSED);
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_REFUSED);
	/* Our own words come back, and some may speak in our name. */
	assert_int_equal(tell(inventory, VM, SELF, VMRUNSTATE_RUNNING, 1, "x"), INVENTORY_OLD);
	info.uuid = (char[]){ SELF };
	info.fields.name = (char[]){ "impostor" };
	info.fields.ts = INT64_MAX;
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_OLD);
	inventory_set_host(inventory, SELF, "impostor", CSTATE_FAILED);
	inventory_set_host(inventory, "nonsense", "impostor", CSTATE_ACTIVE);
	assert_string_equal(inventory_find_host(inventory, SELF)->def.name, "self");
	assert_int_equal(inventory_find_host(inventory, SELF)->cstate, CSTATE_ACTIVE);
	inventory_list_hosts(inventory, &all, NULL, &list);
	assert_int_equal(list.n_items, 3);
	model_clear(&host_list_model, &list);
	inventory_free(inventory);
}

static void
expect_runstate(const struct inventory *inventory, enum vmrunstate runstate)
{
	assert_int_equal(inventory_find_vm(inventory, VM)->vm.runinfo.runstate, runstate);
}

/* What it had told before stays; it says nothing more, of others' VMs neither. */
static void
test_put_out_is_not_believed(void **state)
{
	struct inventory *inventory = make();
	struct host_info info = { .uuid = (char[]){ OTHER } }, self;
	struct host_digest digest;
	struct tokens *tokens = tokens_new();

	assert_true(inventory_get_self(inventory, &self, &digest));
	info.fields.ts = self.fields.ts + 1;
	assert_int_equal(
	    tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "one"), INVENTORY_TAKEN);
	assert_int_equal(
	    tell(inventory, VM2, THIRD, VMRUNSTATE_RUNNING, 100, "two"), INVENTORY_TAKEN);
	inventory_set_tokens(inventory, tokens);
	tokens_put_out(tokens, OTHER, true);
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 101), INVENTORY_OLD);
	/* Nor is it taken for one that speaks in this host's name. */
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_OLD);
	inventory_set_host(inventory, THIRD, "third", CSTATE_FAILED);
	assert_int_equal(
	    tell(inventory, VM2, OTHER, VMRUNSTATE_RUNNING, 102, "two"), INVENTORY_OLD);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100);
	expect(inventory, VM2, THIRD, VMRUNSTATE_RUNNING, 100);
	tokens_put_out(tokens, OTHER, false);
	assert_int_equal(tell_state(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 103), INVENTORY_TAKEN);
	inventory_free(inventory);
	tokens_free(tokens);
}

static void
test_local_is_the_truth(void **state)
{
	struct inventory *inventory = make();
	struct vm_info_list list = { .host = (char[]){ OTHER }, .n_items = 0 };
	int64_t ts;

	report(inventory, VM, VMRUNSTATE_RUNNING, 0);
	ts = inventory_find_vm(inventory, VM)->vm.ts;
	assert_int_equal(
	    tell(inventory, VM, OTHER, VMRUNSTATE_POWEROFF, ts + 1000, "x"), INVENTORY_CLAIM);
	assert_int_equal(
	    tell_state(inventory, VM, OTHER, VMRUNSTATE_DELETED, ts + 2000), INVENTORY_OLD);
	list.fields.ts = 1;
	assert_int_equal(inventory_take_list(inventory, 0, &list), INVENTORY_TAKEN);
	expect(inventory, VM, SELF, VMRUNSTATE_RUNNING, ts);
	inventory_free(inventory);
}

/* A VM that migrates from here: the other host tells of it before our libvirt does. */
static void
test_migrates_away(void **state)
{
	struct inventory *inventory = make();
	uint64_t mark;
	int64_t ts;

	report(inventory, VM, VMRUNSTATE_RUNNING, 0);
	report(inventory, VM2, VMRUNSTATE_RUNNING, 0);
	ts = inventory_find_vm(inventory, VM)->vm.ts;
	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, ts + 10, "local");
	mark = inventory_mark(inventory);
	inventory_release_vm(inventory, VM);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, ts + 10);
	/* A collection that began before does not bring it back. */
	report(inventory, VM, VMRUNSTATE_RUNNING, mark);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, ts + 10);
	/* Or after: then the VM stays in sight. */
	inventory_release_vm(inventory, VM2);
	assert_false(inventory_find_vm(inventory, VM2)->local);
	ts = inventory_find_vm(inventory, VM2)->vm.ts;
	tell_state(inventory, VM2, THIRD, VMRUNSTATE_PAUSED, ts + 1);
	expect(inventory, VM2, THIRD, VMRUNSTATE_PAUSED, ts + 1);
	/* And back, whatever the other host's clock says. */
	tell_state(inventory, VM2, THIRD, VMRUNSTATE_PAUSED, ts + 100000);
	report(inventory, VM2, VMRUNSTATE_RUNNING, inventory_mark(inventory));
	assert_true(inventory_find_vm(inventory, VM2)->local);
	assert_true(inventory_find_vm(inventory, VM2)->vm.ts > ts + 100000);
	inventory_free(inventory);
}

static void
fill(struct vm_info_list *list, const char *uuid, const char *host, int64_t ts, const char *name)
{
	struct vm_info *info = model_append(&list->items, &list->n_items);

	*info = (struct vm_info){ .uuid = xstrdup(uuid),
		.host = xstrdup(host),
		.name = xstrdup(name),
		.runstate = VMRUNSTATE_RUNNING,
		.ts = ts };
	list->digest += (int64_t)vm_info_digest(info);
}

/* What an event told after the mark stands, while there are events. */
static void
test_events_end(void **state)
{
	struct inventory *inventory = make();
	struct vm_report seen = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_RUNNING };
	uint64_t mark;

	report(inventory, VM, VMRUNSTATE_RUNNING, 0);
	mark = inventory_mark(inventory);
	inventory_set_runstate(inventory, VM, VMRUNSTATE_POWEROFF);
	report(inventory, VM, VMRUNSTATE_RUNNING, mark);
	expect_runstate(inventory, VMRUNSTATE_POWEROFF);
	inventory_forget_states(inventory);
	/* It was seen before that: by the job that boots it now, or by another one. */
	inventory_report_vm(inventory, mark, false, &seen);
	expect_runstate(inventory, VMRUNSTATE_POWEROFF);
	inventory_report_vm(inventory, mark, true, &seen);
	expect_runstate(inventory, VMRUNSTATE_RUNNING);
	inventory_free(inventory);
}

/* What was seen before a job has ended does not take its word back. */
static void
test_job_has_ended(void **state)
{
	struct inventory *inventory = make();
	struct vm_report booted = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_RUNNING };
	uint64_t mark, later;

	report(inventory, VM, VMRUNSTATE_POWEROFF, 0);
	mark = inventory_mark(inventory);
	inventory_set_runstate(inventory, VM, VMRUNSTATE_POWEROFF);
	inventory_forget_states(inventory);
	later = inventory_mark(inventory);
	inventory_report_vm(inventory, mark, true, &booted);
	report(inventory, VM, VMRUNSTATE_POWEROFF, later);
	expect_runstate(inventory, VMRUNSTATE_RUNNING);
	report(inventory, VM, VMRUNSTATE_POWEROFF, inventory_mark(inventory));
	expect_runstate(inventory, VMRUNSTATE_POWEROFF);
	inventory_free(inventory);
}

/* A job whose turn it was after another's has the last word. */
static void
test_jobs_in_turn(void **state)
{
	struct inventory *inventory = make();
	struct vm_report found = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_POWEROFF };
	uint64_t mark;

	report(inventory, VM, VMRUNSTATE_POWEROFF, 0);
	inventory_set_runstate(inventory, VM, VMRUNSTATE_POWEROFF);
	mark = inventory_mark(inventory);
	inventory_report_vm(inventory, mark, true, &found);
	found.runstate = VMRUNSTATE_RUNNING;
	inventory_report_vm(inventory, mark, true, &found);
	expect_runstate(inventory, VMRUNSTATE_RUNNING);
	inventory_free(inventory);
}

/* virtxd was started while it migrated: all that is seen is that it is gone. */
static void
test_migrates_unseen(void **state)
{
	struct inventory *inventory = make();
	struct vm_report report = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_RUNNING };
	const struct inventory_vm *view;

	inventory_report_vm(inventory, inventory_mark(inventory), false, &report);
	assert_int_equal(
	    tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, now_ms() + 1000, "vm"), INVENTORY_CLAIM);
	inventory_report_vms(inventory, inventory_mark(inventory), NULL, 0);
	view = inventory_find_vm(inventory, VM);
	assert_non_null(view);
	assert_false(view->local);
	assert_string_equal(view->vm.runinfo.host, OTHER);
	assert_int_equal(view->vm.runinfo.runstate, VMRUNSTATE_RUNNING);
	inventory_free(inventory);
}

static void
test_list_replaces(void **state)
{
	struct inventory *inventory = make();
	struct vm_info_list list = { .host = xstrdup(OTHER) };
	struct host_info info = { .uuid = (char[]){ OTHER } };
	struct host_digest digest = { HOST_DIGEST_VERSION, 7, 7 };
	uint64_t mark;

	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "stale");
	info.fields.ts = 200;
	info.fields.name = (char[]){ "other" };
	inventory_take_host(inventory, &info, &digest);
	assert_int_equal(inventory_match(inventory, OTHER, NULL), INVENTORY_MATCH_DIFFERS);
	/* News of after the digest: it says nothing. */
	tell_state(inventory, VM, OTHER, VMRUNSTATE_PAUSED, 201);
	assert_int_equal(inventory_match(inventory, OTHER, NULL), INVENTORY_MATCH_UNKNOWN);

	mark = inventory_mark(inventory);
	list.fields.ts = 300;
	fill(&list, VM2, OTHER, 50, "two");
	inventory_take_list(inventory, mark, &list);
	assert_null(inventory_find_vm(inventory, VM));
	expect(inventory, VM2, OTHER, VMRUNSTATE_RUNNING, 50);
	assert_int_equal(inventory_match(inventory, OTHER, NULL), INVENTORY_MATCH_EQUAL);
	/* The host has the last word on its own VMs, even with its clock set back; but not on what
	 * came after it was asked. */
	list.fields.ts = 301;
	model_clear_field(&vm_info_list_model.fields[3], &list);
	list.digest = 0;
	fill(&list, VM2, OTHER, 40, "renamed");
	mark = inventory_mark(inventory);
	inventory_take_list(inventory, mark, &list);
	assert_string_equal(inventory_find_vm(inventory, VM2)->vm.def.name, "renamed");
	tell_state(inventory, VM2, OTHER, VMRUNSTATE_PAUSED, 400);
	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 401, "late");
	inventory_take_list(inventory, mark, &list);
	expect(inventory, VM2, OTHER, VMRUNSTATE_PAUSED, 400);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 401);
	/* Of others' VMs it has none. */
	tell(inventory, VM, THIRD, VMRUNSTATE_RUNNING, 500, "third's");
	fill(&list, VM, THIRD, 600, "liar");
	inventory_take_list(inventory, inventory_mark(inventory), &list);
	expect(inventory, VM, THIRD, VMRUNSTATE_RUNNING, 500);
	model_clear(&vm_info_list_model, &list);
	inventory_free(inventory);
}

static void
test_hosts(void **state)
{
	struct inventory *inventory = make();
	struct host_info info = { .uuid = (char[]){ OTHER } };
	struct seen seen = { 0 };
	const struct host *host = inventory_find_host(inventory, OTHER);

	inventory_observe(inventory, &observer, &seen);
	/* Until it tells its name, the member's must do. */
	inventory_set_host(inventory, OTHER, "renamed", CSTATE_ACTIVE);
	assert_string_equal(host->def.name, "renamed");
	info.fields.name = (char[]){ "its-name" };
	info.fields.cstate = CSTATE_LEFT; /* not for it to say */
	info.fields.memoryavailable = 77;
	info.fields.ts = 1000;
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_TAKEN);
	assert_string_equal(host->def.name, "its-name");
	assert_int_equal(host->cstate, CSTATE_ACTIVE);
	assert_int_equal(host->resources.memory.availablevms, 77);
	info.fields.ts = 999;
	info.fields.memoryavailable = 1;
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_DOUBTED);
	assert_int_equal(host->resources.memory.availablevms, 77);
	info.fields.memoryavailable = 77;
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_OLD);
	assert_int_equal(seen.hosts, 2);
	info.fields.ts = 1001;
	info.fields.memoryavailable = 77;
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_TAKEN);
	assert_int_equal(seen.hosts, 2);
	/* Its VMs stay while it is away. */
	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100, "one");
	inventory_set_host(inventory, OTHER, "renamed", CSTATE_FAILED);
	assert_string_equal(host->def.name, "its-name");
	assert_int_equal(host->cstate, CSTATE_FAILED);
	assert_int_equal(seen.hosts, 3);
	expect(inventory, VM, OTHER, VMRUNSTATE_RUNNING, 100);
	inventory_unobserve(inventory, &observer, &seen);
	inventory_set_host(inventory, OTHER, "renamed", CSTATE_ACTIVE);
	assert_int_equal(seen.hosts, 3);
	inventory_free(inventory);
}

/* The digest is of the set, however it came about, and of what counts alone. */
static void
test_maintenance(void **state)
{
	const struct host_list_fields all = { 0 };
	struct inventory *inventory = make();
	struct inventory_counts counts;
	struct host_list list = { 0 };
	struct seen seen = { 0 };

	inventory_observe(inventory, &observer, &seen);
	inventory_set_maintenance(inventory, OTHER, true);
	inventory_set_maintenance(inventory, OTHER, true);
	inventory_set_maintenance(inventory, SELF, true);
	inventory_set_maintenance(inventory, VM, true);
	assert_int_equal(seen.hosts, 2);
	inventory_list_hosts(inventory, &all, NULL, &list);
	assert_int_equal(list.n_items, 3);
	assert_true(list.items[0].maintenance && list.items[1].maintenance);
	assert_false(list.items[2].maintenance);
	inventory_count(inventory, &(struct custom_field){ 0 }, &counts);
	assert_int_equal(counts.hosts_maintenance, 2);
	inventory_set_maintenance(inventory, OTHER, false);
	assert_false(inventory_find_host(inventory, OTHER)->maintenance);
	assert_int_equal(seen.hosts, 3);
	model_clear(&host_list_model, &list);
	inventory_free(inventory);
}

static void
test_watchdog(void **state)
{
	const struct host_list_fields all = { 0 };
	struct inventory *inventory = make();
	struct host_list list = { 0 };
	struct seen seen = { 0 };

	inventory_observe(inventory, &observer, &seen);
	inventory_set_watchdog(inventory, OTHER, WATCHDOG_ON);
	inventory_set_watchdog(inventory, OTHER, WATCHDOG_ON);
	inventory_set_watchdog(inventory, SELF, WATCHDOG_OFF);
	inventory_set_watchdog(inventory, "", WATCHDOG_OFF);
	assert_int_equal(seen.hosts, 2);
	inventory_list_hosts(inventory, &all, NULL, &list);
	assert_int_equal(list.n_items, 3);
	for (size_t i = 0; i < list.n_items; i++)
		assert_int_equal(list.items[i].watchdog,
		    str_equal(list.items[i].uuid, OTHER)  ? WATCHDOG_ON
		    : str_equal(list.items[i].uuid, SELF) ? WATCHDOG_OFF
							  : WATCHDOG_UNKNOWN);
	inventory_set_watchdog(inventory, OTHER, WATCHDOG_UNKNOWN);
	assert_int_equal(inventory_find_host(inventory, OTHER)->watchdog, WATCHDOG_UNKNOWN);
	assert_int_equal(seen.hosts, 3);
	model_clear(&host_list_model, &list);
	inventory_free(inventory);
}

/* What a host is that has failed is what it was; one that is not known is not armed. */
static void
test_ha(void **state)
{
	const struct host_ha armed = { true, 7, 3, 10, 60 }, again = { true, 7, 4, 10, 60 };
	struct inventory *inventory = make();
	struct seen seen = { 0 };
	struct host_ha ha;

	inventory_observe(inventory, &observer, &seen);
	inventory_set_ha(inventory, OTHER, &armed);
	inventory_set_ha(inventory, OTHER, &armed);
	inventory_set_ha(inventory, SELF, &again);
	inventory_set_ha(inventory, "", &armed);
	assert_int_equal(seen.hosts, 2);
	inventory_set_host(inventory, OTHER, "h2", CSTATE_FAILED);
	inventory_get_ha(inventory, OTHER, &ha);
	assert_true(host_ha_equal(&ha, &armed));
	inventory_get_ha(inventory, SELF, &ha);
	assert_true(host_ha_equal(&ha, &again));
	inventory_get_ha(inventory, "", &ha);
	assert_false(ha.armed);
	inventory_set_ha(inventory, OTHER, &(struct host_ha){ 0 });
	inventory_get_ha(inventory, OTHER, &ha);
	assert_false(ha.armed);
	assert_int_equal(seen.hosts, 4);
	inventory_free(inventory);
}

static unsigned int
n_listed(struct inventory *inventory, enum vmrunstate runstate)
{
	const struct vm_list_fields filter = { .runstate = runstate };
	struct vm_list list = { 0 };
	unsigned int n;

	inventory_list_vms(inventory, &filter, NULL, &list);
	n = (unsigned int)list.n_items;
	model_clear(&vm_list_model, &list);
	return n;
}

/* What its VMs do is not known then, whatever they did, and is again when it is back. */
static void
test_failed_host(void **state)
{
	struct inventory *inventory = make();
	struct inventory_counts counts;
	struct vmruninfo info;

	tell(inventory, VM, OTHER, VMRUNSTATE_RUNNING, now_ms(), "web");
	tell(inventory, VM2, THIRD, VMRUNSTATE_RUNNING, now_ms(), "db");
	inventory_set_host(inventory, OTHER, "other", CSTATE_FAILED);
	info = inventory_told_runinfo(inventory_find_vm(inventory, VM));
	assert_int_equal(info.runstate, VMRUNSTATE_NONE);
	assert_int_equal(info.last, VMRUNSTATE_RUNNING);
	assert_string_equal(info.host, OTHER);
	info = inventory_told_runinfo(inventory_find_vm(inventory, VM2));
	assert_int_equal(info.runstate, VMRUNSTATE_RUNNING);
	assert_int_equal(info.last, VMRUNSTATE_NONE);
	assert_int_equal(n_listed(inventory, VMRUNSTATE_RUNNING), 1);
	assert_int_equal(n_listed(inventory, VMRUNSTATE_NONE), 2);
	inventory_count(inventory, &(struct custom_field){ 0 }, &counts);
	assert_int_equal(counts.vms[VMRUNSTATE_RUNNING], 1);
	assert_int_equal(counts.vms[VMRUNSTATE_NONE], 1);
	/* What it was is what all else reckons with. */
	assert_int_equal(inventory_find_vm(inventory, VM)->vm.runinfo.runstate, VMRUNSTATE_RUNNING);

	inventory_set_host(inventory, OTHER, "other", CSTATE_ACTIVE);
	info = inventory_told_runinfo(inventory_find_vm(inventory, VM));
	assert_int_equal(info.runstate, VMRUNSTATE_RUNNING);
	assert_int_equal(n_listed(inventory, VMRUNSTATE_RUNNING), 2);
	/* One that leaves has ended or moved them before. */
	inventory_set_host(inventory, OTHER, "other", CSTATE_LEFT);
	assert_int_equal(n_listed(inventory, VMRUNSTATE_RUNNING), 2);
	inventory_free(inventory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_host),
		cmocka_unit_test(test_newer_wins),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_custom_fields_are_found),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_events_end),
		cmocka_unit_test(test_job_has_ended),
		cmocka_unit_test(test_jobs_in_turn),
		cmocka_unit_test(test_only_members_are_believed),
		cmocka_unit_test(test_put_out_is_not_believed),
		cmocka_unit_test(test_local_is_the_truth),
		cmocka_unit_test(test_migrates_away),
		cmocka_unit_test(test_list_replaces),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_ha),
		cmocka_unit_test(test_migrates_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
