/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lists are filtered by, from the query and the body, and what is found. */
#include "api/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/uuid.h"
#include "state/operations.h"

#define VM1   "10000000-0000-4000-8000-000000000001"
#define VM2   "10000000-0000-4000-8000-000000000002"
#define HOST  "00000000-0000-4000-8000-000000000001"
#define UPPER "0000abcd-0000-4000-8000-00000000000f"

static int
read_vms(const char *query, const char *body, struct vm_list_options *options,
    struct list_page *page, struct error *err)
{
	struct request req = { .query = query, .body = body, .body_len = strlen(body) };

	*options = (struct vm_list_options){ 0 };
	*page = (struct list_page){ 0 };
	return query_read(&req, &vm_list_options_model, options, page, err);
}

static void
test_names(void **state)
{
	static const struct {
		const char *query, *body;
		const char *name; /* NULL: an error */
		bool exact;
		bool finds_web, finds_web1;
	} rows[] = {
		{ "", "", "", false, true, true },
		{ "", "{\"filter\":{\"name\":\"web\"}}", "web", false, true, true },
		{ "name=web", "", "web", true, true, false },
		{ "name=web", "{\"filter\":{\"name\":\"web1\"}}", "web", true, true, false },
		{ "name_contains=eb", "", "eb", false, true, true },
		{ "name_contains=eb1", "{\"filter\":{\"name\":\"web\"}}", "eb1", false, false,
		    true },
		{ "name=eb", "", "eb", true, false, false },
		{ "n%61me=eb", "", "eb", true, false, false },
		{ "name=", "", "", true, true, true },
		{ "name=a&name_contains=b", "", NULL, false, false, false },
		{ "name_contain=b", "", NULL, false, false, false },
		{ "name=%", "", NULL, false, false, false },
	};
	struct vm web = { .def.name = (char[]){ "web" } };
	struct vm web1 = { .def.name = (char[]){ "web1" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_list_options options;
		struct list_page page;
		struct error err = { 0 };
		int r = read_vms(rows[i].query, rows[i].body, &options, &page, &err);

		if ((r < 0) != !rows[i].name)
			fail_msg("%s: %s", rows[i].query, err.detail);
		if (r == 0) {
			assert_string_equal(str_or_empty(options.filter.name), rows[i].name);
			assert_int_equal(page.exact, rows[i].exact);
			assert_int_equal(
			    filter_vm(&web, web.runinfo.runstate, &options.filter, page.exact),
			    rows[i].finds_web);
			assert_int_equal(
			    filter_vm(&web1, web1.runinfo.runstate, &options.filter, page.exact),
			    rows[i].finds_web1);
		} else {
			assert_int_equal(err.status, 400);
			assert_non_null(strstr(err.detail, "name"));
		}
		model_clear(&vm_list_options_model, &options);
	}
}

static void
test_pages(void **state)
{
	struct vm_list_options options;
	struct list_page page;
	struct error err = { 0 };

	assert_int_equal(read_vms("limit=10&offset=20&host=" HOST, "", &options, &page, &err), 0);
	assert_int_equal(page.limit, 10);
	assert_int_equal(page.offset, 20);
	assert_string_equal(options.filter.host, HOST);
	model_clear(&vm_list_options_model, &options);
	assert_int_equal(read_vms("limit=-1", "", &options, &page, &err), -1);
	assert_non_null(strstr(err.detail, "limit"));
	assert_int_equal(read_vms("vlanid=70000", "", &options, &page, &err), -1);
	assert_non_null(strstr(err.detail, "vlanid"));
	model_clear(&vm_list_options_model, &options);
}

static void
test_uuids(void **state)
{
	static const struct {
		const char *query, *body;
		const char *host; /* NULL: an error */
	} rows[] = {
		{ "host=", "", "" },
		{ "host=0000ABCD-0000-4000-8000-00000000000F", "", UPPER },
		{ "", "{\"filter\":{\"host\":\"0000ABCD-0000-4000-8000-00000000000F\"}}", UPPER },
		{ "host=h1", "", NULL },
		{ "", "{\"filter\":{\"host\":\"h1\"}}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_list_options options;
		struct list_page page;
		struct error err = { 0 };
		int r = read_vms(rows[i].query, rows[i].body, &options, &page, &err);

		assert_int_equal(r, rows[i].host ? 0 : -1);
		if (r == 0) {
			assert_string_equal(str_or_empty(options.filter.host), rows[i].host);
		} else {
			assert_int_equal(err.status, 400);
			assert_string_equal(err.detail, "host: 'h1' is no UUID");
		}
		model_clear(&vm_list_options_model, &options);
	}
}

/* The VMs of what is listed, by their last digit, the newest first. */
static void
expect_operations(struct operations *operations, const struct operation_list_fields *filter,
    const struct list_page *page, const char *vms)
{
	struct operation_list list = { 0 };
	char got[32] = "";

	operations_list(operations, filter, page, &list);
	assert_true(list.n_items < sizeof(got));
	for (size_t i = 0; i < list.n_items; i++)
		got[i] = list.items[i].vm[strlen(VM1) - 1];
	assert_string_equal(got, vms);
	free(list.items);
}

static void
test_operations(void **state)
{
	struct operations *operations = operations_new();
	const struct operation_list_fields none = { 0 };
	int64_t begin = now_ms();
	struct error err = { 0 };
	char boot[UUID_TEXT_SIZE];

	snprintf(
	    boot, sizeof(boot), "%s", operations_start(operations, "VmBoot", VM1, HOST, "ann"));
	operations_start(operations, "VmBoot", VM2, HOST, "bob");
	operations_start(operations, "VmPause", VM1, HOST, "bob");
	error_set(&err, 424, "no");
	assert_true(operations_is_under_way(operations, "VmBoot", VM1));
	operations_finish(operations, boot, NULL, &err);
	assert_false(operations_is_under_way(operations, "VmBoot", VM1));
	assert_false(operations_is_under_way(operations, "VmPause", VM2));
	assert_true(operations_is_under_way(operations, "VmPause", VM1));

#define FIND(member, text, vms) \
	expect_operations(      \
	    operations, &(struct operation_list_fields){ .member = (char[]){ text } }, NULL, vms)
	expect_operations(operations, &none, NULL, "121");
	FIND(vm, VM1, "11");
	FIND(vm, HOST, "");
	FIND(host, HOST, "121");
	FIND(op, "VmBoot", "21");
	FIND(op, "Vm", "");
	FIND(user, "bob", "12");
	FIND(state, "started", "12");
	FIND(state, "failed", "1");
	expect_operations(
	    operations, &(struct operation_list_fields){ .since = begin }, NULL, "121");
	expect_operations(
	    operations, &(struct operation_list_fields){ .since = now_ms() + 1000 }, NULL, "");
	expect_operations(operations, &none, &(struct list_page){ .limit = 2 }, "12");
	expect_operations(operations, &none, &(struct list_page){ .offset = 1 }, "21");
	expect_operations(operations, &none, &(struct list_page){ .offset = 1, .limit = 1 }, "2");
	expect_operations(operations, &none, &(struct list_page){ .offset = 9 }, "");
	/* What is left out does not count. */
	expect_operations(operations, &(struct operation_list_fields){ .vm = (char[]){ VM1 } },
	    &(struct list_page){ .offset = 1, .limit = 5 }, "1");
	operations_free(operations);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_uuids),
		cmocka_unit_test(test_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
