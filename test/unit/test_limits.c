/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is limited to some VMs: for them the others are not there. */
#include "api/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "api/list_reply.h"
#include "api/request_owner.h"
#include "ops/context.h"
#include "proto/shared_text.h"

#define SELF	"00000000-0000-4000-8000-000000000001"
#define OTHER	"00000000-0000-4000-8000-000000000002"
#define OF_ME	"10000000-0000-4000-8000-000000000001"
#define OF_BOB	"10000000-0000-4000-8000-000000000002"
#define OF_NONE "10000000-0000-4000-8000-000000000003"
#define NO_VM	"10000000-0000-4000-8000-000000000009"

static const struct caller alice = { .by = CALLER_TOKEN,
	.role = ROLE_OPERATOR,
	.user = "token:alice",
	.token_created = 1000,
	.only_name = "owner",
	.only_value = "alice" };
static const struct caller admin = {
	.by = CALLER_TOKEN, .role = ROLE_ADMIN, .user = "token:admin"
};

/* Of the last reply. */
static int status;
static char *body;

static int
on_known(void *arg, char **ret_missing, struct error *err)
{
	*ret_missing = xstrdup("");
	return 0;
}

static char *
on_behind(void *arg)
{
	return NULL;
}

static const struct host_ops host_ops = { .known = on_known, .behind = on_behind };

static void
report(struct context *ctx, const char *uuid, const char *owner)
{
	struct custom_field custom = { (char *)"owner", (char *)owner };
	char id[37];
	struct vm_report vm = { .uuid = id,
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.def = { .name = (char *)"web", .custom = &custom, .n_custom = owner != NULL } };

	snprintf(id, sizeof(id), "%s", uuid);
	inventory_report_vm(ctx->inventory, inventory_mark(ctx->inventory), true, &vm);
}

static int
setup(void **state)
{
	struct context *ctx = xcalloc(1, sizeof(*ctx));
	char self[] = SELF;
	struct host_report host = { .uuid = self };

	ctx->inventory = inventory_new();
	ctx->operations = operations_new();
	ctx->host_ops = &host_ops;
	inventory_report_host(ctx->inventory, &host);
	inventory_set_host(ctx->inventory, OTHER, "h2", CSTATE_ACTIVE);
	report(ctx, OF_ME, "alice");
	report(ctx, OF_BOB, "bob");
	report(ctx, OF_NONE, NULL);
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
	free(steal_ptr(body));
	return 0;
}

static void
on_reply(struct request *req, int reply_status, const char *content_type, char *text, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	status = reply_status;
	free(body);
	body = text;
}

static struct request
make(enum route_id route, const char *param, const struct caller *caller)
{
	struct request req = { .route = &routes[route],
		.body = "",
		.user = caller->user,
		.caller = caller,
		.send = on_reply };

	snprintf(req.param, sizeof(req.param), "%s", param);
	status = 0;
	return req;
}

/* One outside and one that there is not are told the same; of the rest only the uuid differs. */
static void
test_vms(void **state)
{
	static const char *const outside[] = { OF_BOB, OF_NONE, NO_VM };
	struct request req;
	_free_ char *wanted = NULL;

	for (int i = 0; i < ROUTE_N; i++) {
		if (strncmp(routes[i].path, "/vms/{uuid}", 11) != 0)
			continue;
		req = make(i, OF_ME, &alice);
		assert_int_equal(limits_check_vm(*state, &req), 0);
		req = make(i, OF_BOB, &admin);
		assert_int_equal(limits_check_vm(*state, &req), 0);
		for (size_t k = 0; k < ARRAY_SIZE(outside); k++) {
			char *at;

			req = make(i, outside[k], &alice);
			assert_int_equal(limits_check_vm(*state, &req), -1);
			assert_int_equal(status, 404);
			while ((at = strstr(body, outside[k])))
				memset(at, 'x', strlen(outside[k]));
			if (!wanted)
				wanted = xstrdup(body);
			assert_string_equal(body, wanted);
		}
	}
	/* That is of no VM. */
	req = make(ROUTE_HOST_GET, SELF, &alice);
	assert_int_equal(limits_check_vm(*state, &req), 0);
}

static void
test_list(void **state)
{
	struct context *ctx = *state;
	struct request req = make(ROUTE_VM_LIST, "", &alice);
	struct vm_list_fields filter = { 0 };
	struct list_page page = { .only = limits_field(&req) };
	struct shared_text *some, *none, *all;

	some = inventory_vms_json(ctx->inventory, &filter, &page);
	assert_non_null(strstr(some->data, OF_ME));
	assert_null(strstr(some->data, OF_BOB));
	assert_null(strstr(some->data, OF_NONE));
	/* Nothing that is asked for widens it. */
	filter.custom = (struct custom_field){ (char *)"owner", (char *)"bob" };
	none = inventory_vms_json(ctx->inventory, &filter, &page);
	assert_string_equal(none->data, "{\"items\":[]}");
	req = make(ROUTE_VM_LIST, "", &admin);
	page.only = limits_field(&req);
	filter = (struct vm_list_fields){ 0 };
	all = inventory_vms_json(ctx->inventory, &filter, &page);
	assert_non_null(strstr(all->data, OF_BOB));
	assert_non_null(strstr(all->data, OF_NONE));
	shared_text_drop(some);
	/* Nor does what was kept for somebody who may see all of them. */
	req = make(ROUTE_VM_LIST, "", &alice);
	page.only = limits_field(&req);
	some = inventory_vms_json(ctx->inventory, &filter, &page);
	assert_null(strstr(some->data, OF_BOB));
	assert_null(strstr(some->data, OF_NONE));
	shared_text_drop(some);
	shared_text_drop(none);
	shared_text_drop(all);
}

static void
test_operations(void **state)
{
	static const struct {
		const char *vm, *user;
		int64_t ts;
		bool shown;
	} rows[] = {
		{ OF_ME, "uid:0", 1, true },
		{ OF_BOB, "uid:0", 2000, false },
		{ "", "uid:0", 2000, false },
		/* The VM that they have deleted. */
		{ NO_VM, "token:alice", 1000, true },
		{ NO_VM, "token:alice2", 2000, false },
		/* By a token of this name that was before theirs. */
		{ NO_VM, "token:alice", 999, false },
	};
	struct caller unknown = alice;
	struct request req = make(ROUTE_OPERATION_LIST, "", &alice);
	struct request other = make(ROUTE_OPERATION_LIST, "", &admin);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct operation operation = {
			.vm = (char *)rows[i].vm, .user = (char *)rows[i].user, .ts = rows[i].ts
		};

		assert_int_equal(limits_sees_operation(*state, &req, &operation), rows[i].shown);
		assert_true(limits_sees_operation(*state, &other, &operation));
	}
	/* Which of them it is, this host does not know. */
	unknown.token_created = 0;
	req.caller = &unknown;
	assert_false(limits_sees_operation(*state, &req,
	    &(struct operation){ .vm = (char *)NO_VM, .user = (char *)"token:alice", .ts = 2000 }));
}

static void
test_definitions(void **state)
{
	struct custom_field custom = { (char *)"owner", (char *)"alice" };
	struct vmdef def = { .custom = &custom, .n_custom = 1 };
	struct request req = make(ROUTE_VM_CREATE, "", &alice);
	struct error err = { 0 };

	def.osdisk.man = DISK_MAN_MODE_MANAGED;
	def.osdisk.prov = DISK_PROV_MODE_THIN;
	assert_int_equal(limits_check_def(&req, &def, NULL, &err), 0);
	custom.value = (char *)"bob";
	assert_int_equal(limits_check_def(&req, &def, NULL, &err), -1);
	assert_int_equal(err.status, 403);
	assert_non_null(strstr(err.detail, "'owner' of the value 'alice'"));
	def.n_custom = 0;
	assert_int_equal(limits_check_def(&req, &def, NULL, &err), -1);
	req = make(ROUTE_VM_CREATE, "", &admin);
	assert_int_equal(limits_check_def(&req, &def, NULL, &err), 0);
}

/* By its disks a VM gets at nothing that another one may have, nor at the host's. */
static void
test_disks(void **state)
{
	static const struct {
		struct disk disk;
		bool allowed;
	} rows[] = {
		{ { .path = (char *)"/vms/ds/a.qcow2",
		      .man = DISK_MAN_MODE_MANAGED,
		      .prov = DISK_PROV_MODE_THICK },
		    true },
		/* One that is there already nothing says to be theirs. */
		{ { .path = (char *)"/vms/ds/a.qcow2", .man = DISK_MAN_MODE_MANAGED }, false },
		{ { .path = (char *)"/vms/ds/a.iso",
		      .device = DISK_DEVICE_CDROM,
		      .man = DISK_MAN_MODE_MANAGED },
		    false },
		{ { .path = (char *)"/vms/ds/a.iso", .device = DISK_DEVICE_CDROM }, true },
		{ { .path = (char *)"/vms/ds/a.qcow2" }, false },
		{ { .path = (char *)"/vms/ds/a.iso" }, false },
		{ { .path = (char *)"/vms/ds/a.qcow2", .device = DISK_DEVICE_CDROM }, false },
		{ { .path = (char *)"/dev/sda", .device = DISK_DEVICE_LUN }, false },
		{ { .path = (char *)"/dev/sda",
		      .device = DISK_DEVICE_LUN,
		      .man = DISK_MAN_MODE_MANAGED },
		    false },
	};
	struct custom_field custom = { (char *)"owner", (char *)"alice" };
	struct disk disk = rows[0].disk;
	struct vmdef is = { .custom = &custom, .n_custom = 1 }, def = is;
	struct request req = make(ROUTE_VM_UPDATE, NO_VM, &alice);
	struct request other = make(ROUTE_VM_UPDATE, NO_VM, &admin);
	struct error err = { 0 };

	is.osdisk = rows[0].disk;
	is.disks = &disk;
	is.n_disks = 1;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int result = rows[i].allowed ? 0 : -1;
		bool same;

		def.osdisk = rows[i].disk;
		assert_int_equal(limits_check_def(&req, &def, NULL, &err), result);
		if (result < 0)
			assert_int_equal(err.status, 403);
		assert_int_equal(limits_check_def(&other, &def, NULL, &err), 0);
		/* What the VM has stays, and becomes nothing else. */
		disk = rows[i].disk;
		assert_int_equal(limits_check_def(&req, &def, &is, &err), 0);
		disk.device = DISK_DEVICE_CDROM;
		disk.man = DISK_MAN_MODE_MANAGED;
		is.osdisk.path = (char *)"/vms/ds/other.qcow2";
		same = disk.device == rows[i].disk.device && disk.man == rows[i].disk.man;
		assert_int_equal(limits_check_def(&req, &def, &is, &err), same ? 0 : result);
	}
}

/* A host of the Go virtx knows no limits, and would change whatever it is asked to. */
static void
test_go(void **state)
{
	struct request req = make(ROUTE_VM_CREATE, "", &alice);
	char host[UUID_TEXT_SIZE];
	struct error err = { 0 };

	req.body = "{\"host\":\"" OTHER "\"}";
	req.body_len = strlen(req.body);
	assert_int_equal(request_owner_find(*state, &req, host, &err), -1);
	assert_int_equal(err.status, 501);
	req.caller = &admin;
	assert_int_equal(request_owner_find(*state, &req, host, &err), 0);
	assert_string_equal(host, OTHER);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_definitions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_go, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
