/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/routes.h"

#define UUID "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b"

static char param[64];
static unsigned int allow;
static const struct route *found;

static enum route_match
find(enum method method, const char *path)
{
	allow = 0;
	found = NULL;
	return route_find(method, path, &found, param, sizeof(param), &allow);
}

static void
test_table(void **state)
{
	for (int i = 0; i < ROUTE_N; i++) {
		_free_ char *path = route_path(i, UUID);

		assert_int_equal(routes[i].id, i);
		assert_non_null(routes[i].summary);
		assert_int_not_equal(routes[i].role, ROLE_NONE);
		assert_int_equal(find(routes[i].method, path), ROUTE_FOUND);
		assert_ptr_equal(found, &routes[i]);
		assert_true(allow & routes[i].method);
		assert_string_equal(param, strchr(routes[i].path, '{') ? UUID : "");
		/* Who changes something has an operation, unless that is of another host, or only
		 * what is known of one changes. */
		assert_int_equal(routes[i].op != NULL,
		    routes[i].method != METHOD_GET && !strstr(path, "/reservation") &&
			i != ROUTE_HOST_FORGET && !strstr(path, "/auth/") &&
			!strstr(path, "/cluster/"));
		if (routes[i].reply)
			assert_int_equal(routes[i].success, 200);
	}
}

/* Who may only look changes nothing, and what hosts ask each other is nobody else's. */
static void
test_roles(void **state)
{
	for (int i = 0; i < ROUTE_N; i++) {
		if (routes[i].role == ROLE_VIEWER)
			assert_int_equal(routes[i].method, METHOD_GET);
		if (routes[i].op)
			assert_in_range(routes[i].role, ROLE_OPERATOR, ROLE_ADMIN);
	}
	assert_int_equal(routes[ROUTE_GOSSIP_VMS].role, ROLE_HOST);
	assert_int_equal(routes[ROUTE_VM_RESERVE].role, ROLE_HOST);
	assert_int_equal(routes[ROUTE_VM_RESERVE_END].role, ROLE_HOST);
	assert_string_equal(role_name(ROLE_VIEWER), "viewer");
	assert_string_equal(role_name(ROLE_HOST), "host");
	assert_string_equal(role_name(ROLE_JOIN), "join");
	/* Who joins may do that alone, and nobody else may. */
	for (enum role role = ROLE_NONE; role <= ROLE_JOIN; role++) {
		assert_int_equal(role_may(ROLE_JOIN, role), role == ROLE_JOIN);
		assert_int_equal(role_may(role, ROLE_JOIN), role == ROLE_JOIN);
	}
	assert_true(role_may(ROLE_HOST, ROLE_ADMIN) && role_may(ROLE_VIEWER, ROLE_VIEWER));
	assert_false(role_may(ROLE_VIEWER, ROLE_OPERATOR));
	assert_int_equal(routes[ROUTE_CLUSTER_JOIN].role, ROLE_JOIN);
	assert_int_equal(routes[ROUTE_CLUSTER_RENEW].role, ROLE_HOST);
	/* Nobody is given it. */
	assert_int_equal(enum_parse(&role_enum, "host"), -1);
	assert_int_equal(enum_parse(&role_enum, "4"), -1);
}

static void
test_methods(void **state)
{
	assert_int_equal(find(METHOD_HEAD, "/vms"), ROUTE_FOUND);
	assert_int_equal(found->id, ROUTE_VM_LIST);
	assert_int_equal(find(METHOD_PUT, "/vms"), ROUTE_NO_METHOD);
	assert_int_equal(allow, METHOD_GET | METHOD_HEAD | METHOD_POST);
	assert_int_equal(find(METHOD_GET, "/vms/" UUID "/runstate/boot"), ROUTE_NO_METHOD);
	assert_int_equal(allow, METHOD_POST | METHOD_DELETE);
	assert_int_equal(find(METHOD_HEAD, "/vms/" UUID "/runstate/pause"), ROUTE_NO_METHOD);
	assert_int_equal(find(METHOD_DELETE, "/vms/" UUID "/runstate/pause"), ROUTE_FOUND);
	assert_int_equal(found->id, ROUTE_VM_RESUME);

	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(method_parse(method_word(1u << i)), 1u << i);
	assert_int_equal(method_parse("get"), 0);
	assert_int_equal(method_parse(NULL), 0);
	assert_string_equal(method_word(0), "?");
}

static void
test_no_path(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"vms",
		"/VMS",
		"/vm",
		"/vmss",
		"/vms/",
		"//vms",
		"/vms//",
		"/vms//runstate",
		"/vms/" UUID "/",
		"/vms/" UUID "/runstates",
		"/vms/" UUID "/runstate/boot/x",
		"/vms/" UUID "/runstate/boot/x/y/z",
		"/hosts/" UUID "/runstate",
		"/operations/0123456789012345678901234567890123456789012345678901234567890123",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(find(METHOD_GET, paths[i]), ROUTE_NO_PATH);
		assert_null(found);
	}
}

static void
test_uuid(void **state)
{
	assert_int_equal(
	    find(METHOD_GET, "/vms/5A1F3C7E-9B52-4D0A-8F3E-0C1D2E3F4A5B"), ROUTE_FOUND);
	assert_string_equal(param, UUID);
	assert_int_equal(find(METHOD_GET, "/vms/web"), ROUTE_BAD_UUID);
	assert_int_equal(find(METHOD_GET, "/hosts/" UUID "0"), ROUTE_BAD_UUID);
	assert_int_equal(find(METHOD_GET, "/vms/../runstate"), ROUTE_BAD_UUID);
	assert_int_equal(find(METHOD_GET, "/operations/any-thing"), ROUTE_FOUND);
	assert_string_equal(param, "any-thing");
	assert_int_equal(route_find(METHOD_GET, "/vms/" UUID, &found, NULL, 0, NULL), ROUTE_FOUND);
}

static void
test_encoding(void **state)
{
	static const char *const bad[] = {
		"/vms/%",
		"/vms/%4",
		"/vms/%zz",
		"/vms/%00",
		"/vms/a%2fb",
		"/vms/a%2Fb",
		"/%v",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(find(METHOD_GET, bad[i]), ROUTE_BAD_ENCODING);
	assert_int_equal(find(METHOD_GET, "/%76ms"), ROUTE_FOUND);
	assert_int_equal(found->id, ROUTE_VM_LIST);
	assert_int_equal(find(METHOD_GET, "/operations/a%20b%C3%A4"), ROUTE_FOUND);
	assert_string_equal(param, "a bä");
}

static void
test_path(void **state)
{
	_free_ char *plain = route_path(ROUTE_VM_LIST, NULL);
	_free_ char *boot = route_path(ROUTE_VM_BOOT, UUID);
	_free_ char *odd = route_path(ROUTE_OPERATION_GET, "a/b c%?ä");

	assert_string_equal(plain, "/vms");
	assert_string_equal(boot, "/vms/" UUID "/runstate/boot");
	assert_string_equal(odd, "/operations/a%2Fb%20c%25%3F%C3%A4");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_no_path),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
