/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other hosts are told of this one's VMs: a list in pages, with its digest. */
#include "state/inventory.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "inventory_fixture.h"

static void
test_digest(void **state)
{
	struct inventory *a = make(), *b = make();
	struct vm_info_list list = { 0 }, other = { 0 };

	tell(a, VM, OTHER, VMRUNSTATE_RUNNING, 1, "one");
	tell(a, VM2, OTHER, VMRUNSTATE_POWEROFF, 2, "two");
	tell(b, VM2, THIRD, VMRUNSTATE_POWEROFF, 7, "two");
	tell(b, VM, OTHER, VMRUNSTATE_PAUSED, 8, "one");
	tell_state(b, VM2, OTHER, VMRUNSTATE_POWEROFF, 9);
	inventory_get_list(a, OTHER, "", 0, &list);
	inventory_get_list(b, OTHER, "", 0, &other);
	assert_int_equal(list.n_items, 2);
	assert_int_not_equal(list.digest, other.digest);
	tell_state(b, VM, OTHER, VMRUNSTATE_RUNNING, 10);
	model_clear(&vm_info_list_model, &other);
	inventory_get_list(b, OTHER, "", 0, &other);
	assert_int_equal(list.digest, other.digest);
	tell_state(b, VM, OTHER, VMRUNSTATE_DELETED, 11);
	tell_state(b, VM2, OTHER, VMRUNSTATE_DELETED, 11);
	model_clear(&vm_info_list_model, &other);
	inventory_get_list(b, OTHER, "", 0, &other);
	assert_int_equal(other.digest, 0);
	model_clear(&vm_info_list_model, &list);
	model_clear(&vm_info_list_model, &other);
	inventory_free(a);
	inventory_free(b);
}

/* All VMs in pages, each once and by uuid, whatever comes meanwhile. */
static void
test_pages(void **state)
{
	struct inventory *inventory = make();
	char after[UUID_TEXT_SIZE] = "", uuid[UUID_TEXT_SIZE];
	_free_ char *large = xcalloc(100001, 1);
	size_t n = 0, pages = 0;

	for (unsigned int i = 0; i < 25; i++) {
		snprintf(uuid, sizeof(uuid), "33333333-0000-4000-8000-%012x", i * 7919 % 1000);
		tell(inventory, uuid, OTHER, VMRUNSTATE_RUNNING, 1, "one");
	}
	do {
		struct vm_info_list page = { 0 };

		inventory_get_list(inventory, OTHER, after, 10, &page);
		assert_true(page.n_items <= 10);
		for (size_t i = 0; i < page.n_items; i++) {
			assert_true(strcmp(page.items[i].uuid, after) > 0);
			snprintf(after, sizeof(after), "%s", page.items[i].uuid);
		}
		assert_true(str_empty(page.next) || str_equal(page.next, after));
		n += page.n_items;
		pages++;
		if (str_empty(page.next))
			after[0] = '\0';
		model_clear(&vm_info_list_model, &page);
	} while (after[0]);
	assert_int_equal(n, 25);
	assert_int_equal(pages, 3);
	/* Few where they are large. */
	memset(large, 'x', 100000);
	for (unsigned int i = 0; i < 10; i++) {
		struct vm_info_list page = { 0 };

		snprintf(uuid, sizeof(uuid), "44444444-0000-4000-8000-%012x", i);
		tell(inventory, uuid, THIRD, VMRUNSTATE_RUNNING, 1, large);
		inventory_get_list(inventory, THIRD, "", 10, &page);
		assert_int_equal(page.n_items, i < 2 ? i + 1 : 2);
		model_clear(&vm_info_list_model, &page);
	}
	inventory_free(inventory);
}

static void
set_undecided(struct inventory *inventory, const char *uuid)
{
	const struct undecided_vm vm = { .uuid = (char *)uuid };

	inventory_set_undecided(inventory, &vm, uuid ? 1 : 0);
}

/* The list of this host, taken as if it were that of another one. */
static void
pass_on(struct inventory *from, struct inventory *to)
{
	struct vm_info_list list = { 0 };

	inventory_get_list(from, SELF, "", 0, &list);
	str_set(&list.host, OTHER);
	assert_int_equal(inventory_take_list(to, inventory_mark(to), &list), INVENTORY_TAKEN);
	model_clear(&vm_info_list_model, &list);
}

/* How the digest of this host compares with what was passed on. */
static enum inventory_match
match(struct inventory *here, struct inventory *there)
{
	static int64_t later; /* than the list, and than the last one, ms */
	struct host_digest digest;
	struct host_info info;

	assert_true(inventory_get_self(here, &info, &digest));
	info.uuid = (char[]){ OTHER };
	info.fields.ts += later += 1000;
	assert_int_equal(inventory_take_host(there, &info, &digest), INVENTORY_TAKEN);
	return inventory_match(there, OTHER, NULL);
}

/* A VM of which a host finds out whether it is its own is told as that, and what is told anew
 * changes the digest. */
static void
test_undecided(void **state)
{
	struct inventory *here = make(), *there = make();

	pass_on(here, there);
	assert_int_equal(match(here, there), INVENTORY_MATCH_EQUAL);
	set_undecided(here, VM);
	assert_string_equal(inventory_find_undecided(here, VM), SELF);
	assert_null(inventory_find_undecided(here, VM2));
	assert_int_equal(match(here, there), INVENTORY_MATCH_DIFFERS);
	/* It may have been known as that host's before. */
	tell(there, VM, OTHER, VMRUNSTATE_POWEROFF, 1, "one");
	pass_on(here, there);
	assert_null(inventory_find_vm(there, VM));
	assert_string_equal(inventory_find_undecided(there, VM), OTHER);
	assert_int_equal(match(here, there), INVENTORY_MATCH_EQUAL);
	/* It is none of its: nothing of that is left in the digest. */
	set_undecided(here, NULL);
	assert_null(inventory_find_undecided(here, VM));
	assert_int_equal(match(here, there), INVENTORY_MATCH_DIFFERS);
	pass_on(here, there);
	assert_null(inventory_find_undecided(there, VM));
	assert_int_equal(match(here, there), INVENTORY_MATCH_EQUAL);
	inventory_free(here);
	inventory_free(there);
}

/* A VM that is told as the host's is decided, on either side. */
static void
test_decided(void **state)
{
	struct inventory *here = make(), *there = make();
	struct vm_report report = { .runstate = VMRUNSTATE_POWEROFF };

	set_undecided(here, VM);
	pass_on(here, there);
	tell(there, VM, OTHER, VMRUNSTATE_POWEROFF, 10, "one");
	assert_null(inventory_find_undecided(there, VM));
	report.uuid = (char[]){ VM };
	inventory_report_vm(here, inventory_mark(here), true, &report);
	assert_null(inventory_find_undecided(here, VM));
	/* Whoever did not hear of that yet says what was before. */
	set_undecided(here, VM);
	assert_null(inventory_find_undecided(here, VM));
	/* That of another host goes with it. */
	set_undecided(here, VM2);
	pass_on(here, there);
	assert_string_equal(inventory_find_undecided(there, VM2), OTHER);
	inventory_set_host(there, OTHER, "other", CSTATE_INVALID);
	assert_null(inventory_find_undecided(there, VM2));
	inventory_free(here);
	inventory_free(there);
}

/* A job may have healed a VM before the first collection tells which host this is, and that one may
 * have looked before the VM was here. */
static void
test_vm_before_host(void **state)
{
	struct inventory *inventory = inventory_new();
	struct host_report host = { .uuid = (char[]){ SELF }, .has_def = true };
	struct vm_report vm = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_POWEROFF };
	struct vm_info_list list = { 0 };
	uint64_t mark = inventory_mark(inventory);

	host.def.name = (char[]){ "self" };
	inventory_report_vm(inventory, inventory_mark(inventory), true, &vm);
	inventory_report_host(inventory, &host);
	inventory_report_vms(inventory, mark, NULL, 0);
	inventory_get_list(inventory, SELF, "", 0, &list);
	assert_int_equal(list.n_items, 1);
	assert_string_equal(list.items[0].host, SELF);
	model_clear(&vm_info_list_model, &list);
	inventory_free(inventory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_undecided),
		cmocka_unit_test(test_decided),
		cmocka_unit_test(test_vm_before_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
