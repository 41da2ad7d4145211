/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another host has chosen this one for a VM: whether it takes it, and what it says of itself where
 * it does not. */
#include "ops_host.h"

#include "ops/admission.h"
#include "ops/scheduler.h"

static int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	return 0;
}

#define HOST(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

/* Memory in MiB for more VMs, as this host would tell of it. */
static int64_t
memory(void)
{
	return inventory_find_host(here.ctx.inventory, SELF)->resources.memory.availablevms;
}

static void
small(struct vm_report *ret, int32_t mib)
{
	ops_report(VM1, VMRUNSTATE_POWEROFF, ret);
	ret->def.memory.total = mib;
}

/* 0 where it is taken; placed is what this host was thought to have. */
static int
accept(int32_t mib, const char *placed)
{
	struct request *req = ops_request(ROUTE_VM_CREATE, "", "{}");
	struct vm_report report;
	int r;

	small(&report, mib);
	req->placed = placed;
	r = admission_accept(&here.ctx, req, &report.def);
	if (r == 0)
		request_reply(req, 204);
	model_clear(&vm_report_model, &report);
	return r;
}

/* The figures of the reply's header. */
static struct host_figures
refusal(void)
{
	const char *at = strstr(here.headers, "X-VirtX-Refused: ");
	struct host_figures figures = { 0 };

	assert_non_null(at);
	assert_true(admission_read_refusal(at + strlen("X-VirtX-Refused: "), &figures));
	return figures;
}

static void
test_taken(void **state)
{
	char placed[64];

	assert_true(memory() > 0);
	snprintf(placed, sizeof(placed), "0 %lld", (long long)memory());
	assert_int_equal(accept(16, placed), 0);
	/* Nobody has said what it was thought to have, or nothing that can be. */
	assert_int_equal(accept(16, ""), 0);
	assert_int_equal(accept(16, "0 9999999999999999"), 0);
}

/* It has got more VMs meanwhile, or has less memory. */
static void
test_stale(void **state)
{
	char placed[64];

	snprintf(placed, sizeof(placed), "0 %lld", (long long)memory());
	ops_add_vm(VM2, VMRUNSTATE_RUNNING);
	assert_int_equal(accept(16, placed), -1);
	assert_int_equal(here.status, 409);
	assert_int_equal(refusal().vms, 1);
	snprintf(placed, sizeof(placed), "1 %lld", (long long)memory() * 2);
	assert_int_equal(accept(16, placed), -1);
	assert_int_equal(here.status, 409);
}

static void
test_full(void **state)
{
	assert_int_equal(accept((int32_t)memory() + 1, ""), -1);
	assert_int_equal(here.status, 422);
	assert_int_equal(refusal().memory, memory());
}

static void
test_not_ready(void **state)
{
	here.libvirt = "it does not answer";
	assert_int_equal(accept(16, ""), -1);
	assert_int_equal(here.status, 503);
	assert_int_equal(refusal().vms, 0);
}

static void
test_refuse(void **state)
{
	struct error err = { 0 };

	error_set(&err, 422, "it has no bridge 'br7'");
	admission_refuse(&here.ctx, ops_request(ROUTE_VM_CREATE, "", "{}"), &err);
	assert_int_equal(here.status, 422);
	assert_int_equal(refusal().memory, memory());
}

/* It has no figures before libvirt has told of it. */
static void
test_refuse_at_first(void **state)
{
	struct error err = { 0 };

	error_set(&err, 503, "it starts");
	admission_refuse(&here.ctx, ops_request(ROUTE_VM_CREATE, "", "{}"), &err);
	assert_int_equal(here.status, 503);
	assert_null(strstr(here.headers, "X-VirtX-Refused"));
}

static void
test_read_refusal(void **state)
{
	struct host_figures figures;

	assert_true(admission_read_refusal("1 2 3 4", &figures));
	assert_int_equal(figures.vcpus, 2);
	assert_int_equal(figures.hp, 4);
	assert_false(admission_read_refusal("1 2 3", &figures));
	assert_false(admission_read_refusal("", &figures));
	assert_false(admission_read_refusal("1 2 3 9999999999999999", &figures));
}

/* The user has named the host: memory is all that counts. */
static void
test_memory(void **state)
{
	struct vm_report report;
	struct error err = { 0 };

	ops_add_host(H2, "h2", 100);
	inventory_set_host(here.ctx.inventory, H3, "h3", CSTATE_ACTIVE);
	small(&report, 100);
	assert_int_equal(admission_check_memory(&here.ctx, H2, VM1, &report.def, &err), 0);
	report.def.memory.total = 101;
	assert_int_equal(admission_check_memory(&here.ctx, H2, VM1, &report.def, &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "'h2' (" H2 ") has 100 MiB of memory"));
	report.def.memory.hp = true;
	assert_int_equal(admission_check_memory(&here.ctx, H2, VM1, &report.def, &err), -1);
	assert_non_null(strstr(err.detail, "hugepages"));
	/* One that has told nothing yet is not judged. */
	assert_int_equal(admission_check_memory(&here.ctx, H3, VM1, &report.def, &err), 0);
	model_clear(&vm_report_model, &report);
}

static void
test_total(void **state)
{
	struct vmdef_memory need = { 65536, false };
	struct error err = { 0 };

	assert_int_equal(admission_check_total(&here.ctx, VM1, &need, &err), 0);
	need.total++;
	assert_int_equal(admission_check_total(&here.ctx, VM1, &need, &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "65536 MiB"));
}

static void
test_total_at_first(void **state)
{
	const struct vmdef_memory need = { 1 << 30, false };
	struct error err = { 0 };

	assert_int_equal(admission_check_total(&here.ctx, VM1, &need, &err), 0);
}

/* By the figures of a refusal the next choice is better. */
static void
test_take_refusal(void **state)
{
	struct placement_need need = { .vm = "", .from = "", .target = H2 };
	struct placement placement = { 0 };
	struct vm_report report;
	struct error err = { 0 };

	ops_add_host(H2, "h2", 4096);
	small(&report, 64);
	need.def = &report.def;
	scheduler_take_refusal(&here.ctx, H2, "what?");
	assert_int_equal(scheduler_choose(&here.ctx, &need, &placement, &err), 0);
	model_clear(&placement_model, &placement);
	scheduler_take_refusal(&here.ctx, H2, "9 9 32 0");
	assert_int_equal(scheduler_choose(&here.ctx, &need, &placement, &err), -1);
	assert_int_equal(err.status, 422);
	model_clear(&placement_model, &placement);
	model_clear(&vm_report_model, &report);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(test_taken),
		HOST(test_stale),
		HOST(test_full),
		HOST(test_not_ready),
		HOST(test_refuse),
		TEST(test_refuse_at_first),
		HOST(test_read_refusal),
		HOST(test_memory),
		HOST(test_total),
		TEST(test_total_at_first),
		HOST(test_take_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
