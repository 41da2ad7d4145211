/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/request_owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops/context.h"
#include "state/tokens.h"

#define SELF	  "00000000-0000-4000-8000-000000000001"
#define OTHER	  "00000000-0000-4000-8000-000000000002"
#define FAILED	  "00000000-0000-4000-8000-000000000003"
#define NOBODY	  "00000000-0000-4000-8000-000000000009"
#define VM_SELF	  "10000000-0000-4000-8000-000000000001"
#define VM_OTHER  "10000000-0000-4000-8000-000000000002"
#define VM_FAILED "10000000-0000-4000-8000-000000000003"

static void
add_remote(struct inventory *inventory, const char *vm, const char *host)
{
	char uuid[37], where[37], name[] = "web";
	struct vm_info info = { .uuid = uuid,
		.host = where,
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 1000,
		.name = name };

	snprintf(uuid, sizeof(uuid), "%s", vm);
	snprintf(where, sizeof(where), "%s", host);
	assert_int_equal(inventory_take_info(inventory, &info), INVENTORY_TAKEN);
}

static int
setup(void **state)
{
	struct context *ctx = xcalloc(1, sizeof(*ctx));
	char self[] = SELF, vm[] = VM_SELF;
	struct host_report host = { .uuid = self };
	struct vm_report report = { .uuid = vm, .has_def = true };

	ctx->inventory = inventory_new();
	ctx->operations = operations_new();
	operations_set_elsewhere(ctx->operations, VM_OTHER, OTHER);
	/* A host says that it keeps one of ours. */
	operations_set_elsewhere(
	    ctx->operations, operations_start(ctx->operations, "VmBoot", VM_SELF, SELF, ""), OTHER);
	inventory_report_host(ctx->inventory, &host);
	inventory_report_vm(ctx->inventory, inventory_mark(ctx->inventory), true, &report);
	inventory_set_host(ctx->inventory, OTHER, "h2", CSTATE_ACTIVE);
	inventory_set_host(ctx->inventory, FAILED, "h3", CSTATE_ACTIVE);
	add_remote(ctx->inventory, VM_OTHER, OTHER);
	add_remote(ctx->inventory, VM_FAILED, FAILED);
	inventory_set_host(ctx->inventory, FAILED, "h3", CSTATE_FAILED);
	*state = ctx;
	return 0;
}

static int
teardown(void **state)
{
	struct context *ctx = *state;

	operations_free(ctx->operations);
	inventory_free(ctx->inventory);
	free(ctx);
	return 0;
}

static void
test_target(void **state)
{
	static const struct {
		enum route_id route;
		const char *param, *body;
		const char *host; /* "" for here */
		int status;	  /* of the error, 0 for none */
	} rows[] = {
		{ ROUTE_VM_LIST, "", "", "", 0 },
		{ ROUTE_HOST_LIST, "", "", "", 0 },
		{ ROUTE_OPERATION_GET, OTHER, "", "", 0 },
		{ ROUTE_OPERATION_GET, VM_OTHER, "", OTHER, 0 },
		{ ROUTE_VM_GET, VM_SELF, "", "", 0 },
		{ ROUTE_VM_GET, VM_OTHER, "", OTHER, 0 },
		{ ROUTE_VM_GET, VM_FAILED, "", "", 503 },
		{ ROUTE_VM_GET, NOBODY, "", "", 0 },
		{ ROUTE_VM_BOOT, VM_OTHER, "{}", OTHER, 0 },
		{ ROUTE_VM_DELETE, VM_FAILED, "", "", 503 },
		/* From memory. */
		{ ROUTE_VM_RUNSTATE_GET, VM_OTHER, "", "", 0 },
		{ ROUTE_HOST_GET, SELF, "", "", 0 },
		{ ROUTE_HOST_GET, OTHER, "", OTHER, 0 },
		{ ROUTE_HOST_GET, FAILED, "", "", 0 },
		{ ROUTE_HOST_GET, NOBODY, "", "", 0 },
		{ ROUTE_VM_CREATE, "", "{\"vmdef\":{\"name\":\"a\"},\"host\":\"\"}", "", 0 },
		{ ROUTE_VM_CREATE, "", "{\"vmdef\":{\"name\":\"a\"},\"host\":\"" SELF "\"}", "",
		    0 },
		{ ROUTE_VM_CREATE, "", "{\"vmdef\":{\"host\":\"x\"},\"host\":\"" OTHER "\"}", OTHER,
		    0 },
		{ ROUTE_VM_CREATE, "", "{\"host\":\"" FAILED "\"}", "", 503 },
		/* What hosts ask each other is passed on for nobody. */
		{ ROUTE_VM_RESERVE, VM_SELF, "{\"host\":\"" OTHER "\"}", "", 508 },
		{ ROUTE_VM_RESERVE, VM_SELF, "{\"host\":\"" SELF "\"}", "", 0 },
		/* The handler says what is wrong. */
		{ ROUTE_VM_CREATE, "", "{\"host\":\"" NOBODY "\"}", "", 0 },
		{ ROUTE_VM_CREATE, "", "{\"host\":7}", "", 0 },
		{ ROUTE_VM_CREATE, "", "{\"host\":\"" OTHER "\"", "", 0 },
		{ ROUTE_VM_CREATE, "", "", "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request req = { .route = &routes[rows[i].route],
			.body = rows[i].body,
			.body_len = strlen(rows[i].body) };
		char host[UUID_TEXT_SIZE];
		struct error err = { 0 };
		int r;

		snprintf(req.param, sizeof(req.param), "%s", rows[i].param);
		r = request_owner_find(*state, &req, host, &err);
		assert_int_equal(r, rows[i].status ? -1 : 0);
		assert_int_equal(err.status, rows[i].status);
		if (r == 0)
			assert_string_equal(host, rows[i].host);
		if (rows[i].status == 503) {
			assert_non_null(strstr(err.detail, "serf says it is failed"));
			assert_string_equal(err.host, FAILED);
		}

		/* What was forwarded once is answered here or not at all. */
		req.looped = true;
		r = request_owner_find(*state, &req, host, &err);
		if (!str_empty(rows[i].host) || rows[i].status) {
			assert_int_equal(r, -1);
			assert_int_equal(err.status, 508);
		} else {
			assert_int_equal(r, 0);
			assert_string_equal(host, "");
		}
	}
}

/* What a host alone can do is not done by another one while that is away. */
static void
test_itself_alone(void **state)
{
	struct error err = { 0 };

	assert_int_equal(request_owner_check_self(*state, SELF, &err), 0);
	assert_int_equal(request_owner_check_self(*state, FAILED, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "host 'h3' (" FAILED ") is not active"));
	assert_non_null(strstr(err.detail, "serf says it is failed"));
}

/* One that was put out of the cluster is asked nothing, whatever serf says of it. */
static void
test_out(void **state)
{
	static const struct {
		enum route_id route;
		const char *param, *body;
		int status;
	} rows[] = {
		{ ROUTE_VM_GET, VM_OTHER, "", 409 },
		{ ROUTE_VM_BOOT, VM_OTHER, "{}", 409 },
		{ ROUTE_HOST_GET, OTHER, "", 409 },
		{ ROUTE_VM_CREATE, "", "{\"host\":\"" OTHER "\"}", 409 },
		{ ROUTE_VM_GET, VM_SELF, "", 0 },
		{ ROUTE_VM_GET, VM_FAILED, "", 503 },
	};
	struct context *ctx = *state;
	struct tokens *tokens = tokens_new();

	tokens_put_out(tokens, OTHER, true);
	inventory_set_tokens(ctx->inventory, tokens);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request req = { .route = &routes[rows[i].route],
			.body = rows[i].body,
			.body_len = strlen(rows[i].body) };
		char host[UUID_TEXT_SIZE];
		struct error err = { 0 };

		snprintf(req.param, sizeof(req.param), "%s", rows[i].param);
		(void)request_owner_find(ctx, &req, host, &err);
		assert_int_equal(err.status, rows[i].status);
		if (err.status == 409) {
			assert_non_null(strstr(err.detail, "h2"));
			assert_non_null(strstr(err.detail, "was put out of the cluster"));
			assert_string_equal(err.host, OTHER);
		}
	}
	inventory_set_tokens(ctx->inventory, NULL);
	tokens_free(tokens);
}

/* The operations that another host keeps are asked from it; of one that is away, nothing is known.
 */
static void
test_operations_of(void **state)
{
	static const struct {
		const char *query, *host;
	} rows[] = {
		{ NULL, "" },
		{ "vm=" VM_OTHER, "" },
		{ "host=" OTHER, OTHER },
		{ "limit=1&host=" OTHER, OTHER },
		{ "host=" SELF, "" },
		{ "host=" FAILED, "" },
		{ "host=" NOBODY, "" },
		{ "host=x", "" },
		{ "host=%zz", "" },
	};
	struct request req = { .route = &routes[ROUTE_OPERATION_LIST], .body = "" };
	char host[UUID_TEXT_SIZE];
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		req.query = rows[i].query;
		req.looped = false;
		assert_int_equal(request_owner_find(*state, &req, host, &err), 0);
		assert_string_equal(host, rows[i].host);
		req.looped = true;
		assert_int_equal(request_owner_find(*state, &req, host, &err), 0);
		assert_string_equal(host, "");
	}
}

/* Whatever another host said of it, before and after. */
static void
test_own_operations(void **state)
{
	struct context *ctx = *state;
	struct request req = { .route = &routes[ROUTE_OPERATION_GET], .body = "" };
	const struct operation_list_fields all = { 0 };
	struct operation_list list = { 0 };
	char host[UUID_TEXT_SIZE];
	struct error err = { 0 };

	operations_list(ctx->operations, &all, NULL, &list);
	assert_int_equal(list.n_items, 1);
	snprintf(req.param, sizeof(req.param), "%s", list.items[0].id);
	assert_int_equal(request_owner_find(ctx, &req, host, &err), 0);
	assert_string_equal(host, "");
	assert_null(operations_find_elsewhere(ctx->operations, req.param));
	free(list.items);
}

/* A dry run of a create is explained by whoever is asked; one of a migration by the VM's host, if
 * that knows what it is. */
static void
test_dry_run(void **state)
{
	static const char body[] = "{\"host\":\"" OTHER "\"}";
	struct context *ctx = *state;
	char query[] = "dry_run=true", host[UUID_TEXT_SIZE], uuid[] = OTHER, name[] = "h2";
	struct request req = { .route = &routes[ROUTE_VM_CREATE],
		.query = query,
		.body = body,
		.body_len = strlen(body) };
	struct host_info info = { .uuid = uuid, .fields = { .name = name, .ts = 1 } };
	struct host_digest digest = { .version = HOST_DIGEST_VERSION };
	struct error err = { 0 };

	assert_int_equal(request_owner_find(ctx, &req, host, &err), 0);
	assert_string_equal(host, "");
	req.query = "dry_run=no";
	assert_int_equal(request_owner_find(ctx, &req, host, &err), -1);
	assert_int_equal(err.status, 400);

	req = (struct request){ .route = &routes[ROUTE_VM_MIGRATE], .query = query, .body = "" };
	snprintf(req.param, sizeof(req.param), "%s", VM_OTHER);
	assert_int_equal(request_owner_find(ctx, &req, host, &err), -1);
	assert_int_equal(err.status, 501);
	assert_int_equal(inventory_take_host(ctx->inventory, &info, &digest), INVENTORY_TAKEN);
	assert_int_equal(request_owner_find(ctx, &req, host, &err), 0);
	assert_string_equal(host, OTHER);
}

/* A new route must not be forgotten here. */
static void
test_scopes(void **state)
{
	for (size_t i = 0; i < ROUTE_N; i++) {
		const struct route *route = &routes[i];

		if (strncmp(route->path, "/vms/{uuid}", 11) != 0)
			continue;
		if (route->id == ROUTE_VM_RUNSTATE_GET)
			assert_int_equal(route->scope, SCOPE_HERE);
		else if (strstr(route->path, "/register") || strstr(route->path, "/failover") ||
			 strstr(route->path, "/recall") || strstr(route->path, "/reservation"))
			assert_int_equal(route->scope, SCOPE_BODY);
		else
			assert_int_equal(route->scope, SCOPE_VM);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_target, setup, teardown),
		cmocka_unit_test_setup_teardown(test_itself_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_operations_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
		cmocka_unit_test(test_scopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
