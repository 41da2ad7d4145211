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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
