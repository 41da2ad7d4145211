/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work_host.h"

#include "work/oplog.h"

/* What libvirt tells of a migration; its test driver has none. */
static int job_type;
static int job_operation;
static const char *asked; /* what was done to it last */

int
virDomainGetJobStats(
    virDomainPtr domain, int *type, virTypedParameterPtr *params, int *nparams, unsigned int flags)
{
	static const struct {
		const char *name;
		unsigned long long value;
	} figures[] = {
		{ VIR_DOMAIN_JOB_DATA_TOTAL, 64ull << 20 },
		{ VIR_DOMAIN_JOB_DATA_PROCESSED, 48ull << 20 },
		{ VIR_DOMAIN_JOB_DATA_REMAINING, 16ull << 20 },
		{ VIR_DOMAIN_JOB_MEMORY_BPS, 3ull << 20 },
		{ VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 512 },
		{ VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 4096 },
		{ VIR_DOMAIN_JOB_MEMORY_ITERATION, 5 },
		{ VIR_DOMAIN_JOB_DOWNTIME, 70 },
	};
	int capacity = 0;

	*type = job_type;
	if (job_type == VIR_DOMAIN_JOB_NONE)
		return 0;
	assert_int_equal(
	    job_type == VIR_DOMAIN_JOB_COMPLETED, (flags & VIR_DOMAIN_JOB_STATS_COMPLETED) != 0);
	virTypedParamsAddInt(params, nparams, &capacity, VIR_DOMAIN_JOB_OPERATION, job_operation);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		virTypedParamsAddULLong(
		    params, nparams, &capacity, figures[i].name, figures[i].value);
	return 0;
}

int
virDomainAbortJob(virDomainPtr domain)
{
	asked = "abort";
	return 0;
}

int
virDomainMigrateStartPostCopy(virDomainPtr domain, unsigned int flags)
{
	asked = "post-copy";
	return 0;
}

static int
setup(void **state)
{
	job_type = VIR_DOMAIN_JOB_NONE;
	job_operation = VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
	asked = "";
	return work_host_setup(state);
}

static struct migration_info
look(void)
{
	const struct vm_request request = { .env = env, .uuid = (char *)TEST_VM };
	struct migration_info info = { 0 };

	must_run(WORK_MIGRATION_INFO, &request, &info);
	return info;
}

/* The VM's own log tells of the last migration. */
static void
test_what_the_log_tells(void **state)
{
	_domain_ virDomainPtr domain = NULL;
	const struct error cause = { .detail = "it did not go" };
	int64_t ts;

	create_small_vm();
	assert_int_equal(look().state, MIGRATION_STATE_NONE);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(oplog_begin(domain, "VmMigrate", HOST2, &ts, &failure), 0);
	assert_int_equal(look().state, MIGRATION_STATE_SETUP);
	oplog_end(domain, "VmMigrate", ts, NULL, &cause);
	assert_int_equal(look().state, MIGRATION_STATE_FAILED);
	oplog_end(domain, "VmMigrate", ts, HOST2, NULL);
	assert_int_equal(look().state, MIGRATION_STATE_COMPLETED);
	assert_int_equal(look().progress.total, 0);
}

static void
test_how_far_it_is(void **state)
{
	struct migration_info info;

	create_small_vm();
	job_type = VIR_DOMAIN_JOB_UNBOUNDED;
	info = look();
	assert_int_equal(info.state, MIGRATION_STATE_ACTIVE);
	assert_int_equal(info.progress.total, 64);
	assert_int_equal(info.progress.transferred, 48);
	assert_int_equal(info.progress.remaining, 16);
	assert_true(info.progress.rate == 3);
	assert_true(info.progress.dirty_rate == 2);
	assert_int_equal(info.progress.iteration, 5);
	assert_int_equal(info.progress.expected_downtime, 70);
	assert_int_equal(info.progress.downtime, 0);
	/* It comes from elsewhere, or is being saved. */
	job_operation = VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN;
	info = look();
	assert_int_equal(info.state, MIGRATION_STATE_NONE);
	assert_int_equal(info.progress.total, 0);
}

static void
expect_control(enum migration_timeout action, const char *wanted)
{
	const struct migration_control_request request = { env, (char *)TEST_VM, action };
	struct vm_result result = { 0 };

	asked = "";
	must_run(WORK_MIGRATION_CONTROL, &request, &result);
	assert_string_equal(asked, wanted);
	model_clear(&vm_result_model, &result);
}

static void
test_control(void **state)
{
	const struct migration_control_request request = { .env = env, .uuid = (char *)TEST_VM };
	_domain_ virDomainPtr domain = NULL;

	must_fail(WORK_MIGRATION_CONTROL, &request, 424, "it has left this host");
	create_small_vm();
	must_fail(WORK_MIGRATION_CONTROL, &request, 424, "does not migrate");
	job_type = VIR_DOMAIN_JOB_UNBOUNDED;
	job_operation = VIR_DOMAIN_JOB_OPERATION_SAVE;
	must_fail(WORK_MIGRATION_CONTROL, &request, 424, "does not migrate");
	assert_string_equal(asked, "");
	job_operation = VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
	expect_control(MIGRATION_TIMEOUT_ABORT, "abort");
	expect_control(MIGRATION_TIMEOUT_POST_COPY, "post-copy");
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	expect_control(MIGRATION_TIMEOUT_PAUSE, "");
	assert_int_equal(domain_state(TEST_VM), VIR_DOMAIN_PAUSED);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, work_host_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_log_tells),
		TEST(test_how_far_it_is),
		TEST(test_control),
	};

	return cmocka_run_group_tests_name("migration_info", tests, NULL, NULL);
}
