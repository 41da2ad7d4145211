/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VMs would start where if a host died. */
#include "ops_host.h"

#include "ops/failover_vms.h"
#include "ops/loss_plan.h"
#include "proto/ha.h"

#define HOSTS 100
#define VMS   100

static const struct host_ha armed = { true, 2, 5, 10, 60 };

static char *
host_uuid(int n, char out[UUID_TEXT_SIZE])
{
	snprintf(out, UUID_TEXT_SIZE, "00000001-1111-4222-8333-%012x", n);
	return out;
}

static char *
vm_uuid(int n, char out[UUID_TEXT_SIZE])
{
	snprintf(out, UUID_TEXT_SIZE, "5a1f3c7e-9b52-4d0a-8f3e-%012x", n);
	return out;
}

static void
add_host(struct inventory *inventory, int n, int32_t available)
{
	char uuid[UUID_TEXT_SIZE], name[32];
	struct host_info info = { .uuid = host_uuid(n, uuid),
		.fields = { .name = name, .memoryavailable = available, .ts = 1000 } };

	snprintf(name, sizeof(name), "host%03d", n);
	inventory_set_host(inventory, uuid, name, CSTATE_ACTIVE);
	inventory_take_host(inventory, &info, NULL);
	inventory_set_ha(inventory, uuid, &armed);
}

static void
add_vm(struct inventory *inventory, int n, int host, int32_t memory, enum want want, char *policy)
{
	char uuid[UUID_TEXT_SIZE], its[UUID_TEXT_SIZE], field[] = HA_POLICY;
	struct custom_field custom = { field, policy };
	struct vm_info info = { .uuid = vm_uuid(n, uuid),
		.host = host_uuid(host, its),
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 1000,
		.name = (char[]){ "vm" },
		.custom = &custom,
		.n_custom = policy != NULL,
		.vcpus = 2,
		.memory = memory,
		.want = want };

	assert_int_equal(inventory_take_info(inventory, &info), INVENTORY_TAKEN);
}

static struct ha_plan_host
plan(struct inventory *inventory, int host, bool otherwise)
{
	const struct custom_field all = { 0 };
	struct ha_plan_host ret = { 0 };
	char uuid[UUID_TEXT_SIZE];

	loss_plan_host(inventory, host_uuid(host, uuid), otherwise, &all, &ret);
	return ret;
}

static void
test_which(void **state)
{
	struct inventory *inventory = inventory_new();
	struct ha_plan_host ret;
	char uuid[UUID_TEXT_SIZE];

	for (int i = 0; i < 3; i++)
		add_host(inventory, i, 1000);
	add_vm(inventory, 1, 0, 100, WANT_ON, NULL);
	add_vm(inventory, 2, 0, 200, WANT_ON, NULL);
	add_vm(inventory, 3, 0, 100, WANT_OFF, NULL);
	add_vm(inventory, 4, 0, 100, WANT_ON, (char[]){ "none" });
	add_vm(inventory, 5, 1, 100, WANT_ON, NULL);
	add_vm(inventory, 6, 0, 0, WANT_UNKNOWN, NULL);
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.restarts, 2);
	assert_int_equal(ret.stranded, 0);
	/* The larger one first, and each by the host that comes first for it. */
	assert_string_equal(ret.vms[0].vm, vm_uuid(2, uuid));
	for (size_t i = 0; i < ret.n_vms; i++) {
		char one[UUID_TEXT_SIZE], two[UUID_TEXT_SIZE];

		host_uuid(1, one);
		host_uuid(2, two);
		assert_string_equal(
		    ret.vms[i].host, failover_is_before(ret.vms[i].vm, one, two) ? one : two);
	}
	model_clear(&ha_plan_host_model, &ret);
	/* None that says nothing is brought back. */
	ret = plan(inventory, 0, false);
	assert_int_equal(ret.n_vms, 0);
	model_clear(&ha_plan_host_model, &ret);
	inventory_free(inventory);
}

static void
test_why_not(void **state)
{
	const struct custom_field other = { (char[]){ "owner" }, (char[]){ "bob" } };
	struct inventory *inventory = inventory_new();
	struct ha_plan_host ret;
	char uuid[UUID_TEXT_SIZE];

	add_host(inventory, 0, 0);
	add_host(inventory, 1, 250);
	add_host(inventory, 2, 250);
	for (int i = 1; i <= 3; i++)
		add_vm(inventory, i, 0, 200, WANT_ON, NULL);
	/* One each; what was placed counts for the next. */
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.restarts, 2);
	assert_int_equal(ret.stranded, 1);
	assert_string_equal(ret.vms[2].host, "");
	assert_non_null(strstr(ret.vms[2].reason, "it has 50 MiB of memory for VMs"));
	model_clear(&ha_plan_host_model, &ret);
	/* Who is limited to other VMs is told of none. */
	ret = (struct ha_plan_host){ 0 };
	loss_plan_host(inventory, host_uuid(0, uuid), true, &other, &ret);
	assert_int_equal(ret.restarts + ret.stranded, 0);
	model_clear(&ha_plan_host_model, &ret);

	inventory_set_ha(inventory, host_uuid(2, uuid), &(struct host_ha){ 0 });
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.restarts, 1);
	assert_non_null(strstr(ret.vms[2].reason, "host002: it is not armed"));
	model_clear(&ha_plan_host_model, &ret);
	inventory_set_ha(inventory, host_uuid(1, uuid), &(struct host_ha){ 0 });
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.stranded, 3);
	assert_string_equal(ret.vms[0].reason, "no other host is armed and takes VMs over");
	model_clear(&ha_plan_host_model, &ret);
	inventory_set_ha(inventory, host_uuid(0, uuid), &(struct host_ha){ 0 });
	ret = plan(inventory, 0, true);
	assert_non_null(strstr(ret.vms[0].reason, "its host is not armed"));
	model_clear(&ha_plan_host_model, &ret);
	inventory_free(inventory);
}

/* One that is armed and takes nothing over; where none does, the plan is what would be. */
static void
test_who_takes(void **state)
{
	struct inventory *inventory = inventory_new();
	struct ha_plan_host ret;
	char uuid[UUID_TEXT_SIZE];

	for (int i = 0; i < 3; i++)
		add_host(inventory, i, 250);
	for (int i = 1; i <= 2; i++)
		add_vm(inventory, i, 0, 200, WANT_ON, NULL);
	inventory_set_ha_off(inventory, host_uuid(2, uuid), true);
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.restarts, 1);
	assert_non_null(strstr(ret.vms[1].reason, "host002: [ha] enabled says no there"));
	model_clear(&ha_plan_host_model, &ret);
	/* The one that does is lost. */
	inventory_set_ha_off(inventory, host_uuid(1, uuid), true);
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.stranded, 2);
	assert_string_equal(ret.vms[0].reason, "no other host is armed and takes VMs over");
	model_clear(&ha_plan_host_model, &ret);
	inventory_set_ha_off(inventory, host_uuid(0, uuid), true);
	ret = plan(inventory, 0, true);
	assert_int_equal(ret.restarts, 2);
	model_clear(&ha_plan_host_model, &ret);
	inventory_free(inventory);
}

/* Of a host that runs a Go virtx, or has not told of it. */
static void
test_memory_is_not_known(void **state)
{
	struct inventory *inventory = inventory_new();
	struct vm_report vm = { .uuid = (char[]){ VM1 },
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.recorded = true,
		.want = WANT_ON };
	struct host_report self = { .uuid = (char[]){ SELF } };
	const struct custom_field all = { 0 };
	struct ha_plan_host ret = { 0 };

	inventory_report_host(inventory, &self);
	inventory_set_ha(inventory, SELF, &armed);
	add_host(inventory, 1, 100);
	inventory_report_vm(inventory, UINT64_MAX, true, &vm);
	loss_plan_host(inventory, SELF, true, &all, &ret);
	assert_int_equal(ret.stranded, 1);
	assert_string_equal(ret.vms[0].reason, "its memory is not known here");
	model_clear(&ha_plan_host_model, &ret);
	inventory_free(inventory);
}

/* All of 100 hosts with 100 VMs each; what that takes is for bench_placement. */
static void
test_many(void **state)
{
	struct inventory *inventory = inventory_new();

	for (int h = 0; h < HOSTS; h++) {
		add_host(inventory, h, 1 << 20);
		for (int v = 0; v < VMS; v++)
			add_vm(inventory, h * VMS + v, h, 4096, WANT_ON, NULL);
	}
	for (int h = 0; h < HOSTS; h++) {
		struct ha_plan_host ret = plan(inventory, h, true);

		assert_int_equal(ret.restarts, VMS);
		model_clear(&ha_plan_host_model, &ret);
	}
	inventory_free(inventory);
}

/* A look has been made by then, if any is made. */
static void
look(struct loss_planner *planner, bool known)
{
	ops_advance(120000);
	assert_int_equal(loss_planner_outlook(planner).known, known);
}

/* [ha] enabled, which SIGHUP may change. */
static void
test_reload(void **state)
{
	struct loss_planner *planner;

	ops_up();
	planner = loss_planner_new(&here.ctx);
	look(planner, false);
	here.config.ha_enabled = true;
	loss_planner_reload(planner);
	look(planner, true);
	loss_planner_reload(planner);
	look(planner, true);
	here.config.ha_enabled = false;
	loss_planner_reload(planner);
	assert_false(loss_planner_outlook(planner).known);
	look(planner, false);
	loss_planner_free(planner);
}

static void
on_planned(struct context *ctx, struct request *req)
{
	request_reply(req, 204);
}

/* What is told of a host that is to take no VMs; "" for nothing. */
static const char *
ask_without_self(void)
{
	unsigned int before = here.replies;

	loss_planner_ask(
	    &here.ctx, ops_request(ROUTE_MAINTENANCE_BEGIN, SELF, "{}"), SELF, on_planned);
	ops_advance(100);
	assert_int_equal(here.replies, before + 1);
	assert_int_equal(here.status, strstr(here.headers, "Warning: ") ? 200 : 204);
	return here.headers;
}

/* The VMs that come back now, and would not then: those that move away count where they go. */
static void
test_without_a_host(void **state)
{
	struct inventory *inventory;
	struct request *req;
	char uuid[UUID_TEXT_SIZE];

	ops_up();
	inventory = here.ctx.inventory;
	here.config.ha_restart = true;
	here.ctx.loss_planner = loss_planner_new(&here.ctx);
	add_host(inventory, 1, 100);
	add_vm(inventory, 1, 1, 50, WANT_ON, NULL);
	/* Nobody takes from it, with or without. */
	inventory_set_ha(inventory, host_uuid(1, uuid), &(struct host_ha){ 0 });
	assert_null(strstr(ask_without_self(), "Warning: "));
	inventory_set_ha(inventory, uuid, &armed);
	inventory_set_ha(inventory, SELF, &armed);
	assert_non_null(strstr(ask_without_self(),
	    "while host 'h1' takes no VMs, 1 VM more cannot be brought back if the host dies that "
	    "has it: 'vm' of host 'host001'"));
	add_host(inventory, 2, 60);
	assert_null(strstr(ask_without_self(), "Warning: "));
	/* This one comes to one of them, and is in the way there. */
	ops_add_vm(VM1, VMRUNSTATE_RUNNING);
	assert_non_null(strstr(ask_without_self(), "1 VM more cannot be brought back"));
	/* Of one who hangs up nothing comes. */
	req = ops_request(ROUTE_MAINTENANCE_BEGIN, SELF, "{}");
	loss_planner_ask(&here.ctx, req, SELF, on_planned);
	req->watch->gone(req->watch_arg);
	assert_int_equal(here.status, 499);
	ops_advance(100);
	loss_planner_free(here.ctx.loss_planner);
	here.ctx.loss_planner = NULL;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_why_not),
		cmocka_unit_test(test_who_takes),
		cmocka_unit_test(test_memory_is_not_known),
		cmocka_unit_test(test_many),
		TEST(test_reload),
		TEST(test_without_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
