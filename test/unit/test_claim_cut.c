/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A claim that was cut off after each of its steps: whoever comes next ends or undoes it. */
#include "claim_host.h"

#define STEPS_MAX 20

/* Claims in a process of its own that ends after that many steps; what libvirt had got is this
 * process's libvirt's, too. False where it came to its end. */
static bool
claim_until(int n)
{
	const struct vm_claim_request request = claim_request();
	struct vm_claim_result result = { 0 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		cut_at = n;
		steps = 0;
		writes_definitions = true;
		_exit(run(WORK_VM_CLAIM, &request, &result) < 0 || result.outcome != CLAIM_CLAIMED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 0)
		return false;
	assert_int_equal(WEXITSTATUS(status), 77);
	if (exists("defined.xml")) {
		struct buffer xml = { 0 };
		_domain_ virDomainPtr domain = NULL;
		_close_ int file = open(at("defined.xml"), O_RDONLY);

		assert_int_equal(read_all(file, &xml, 1 << 20), 0);
		buffer_add(&xml, "", 1);
		domain = virDomainDefineXML(libvirt, xml.data);
		assert_non_null(domain);
		buffer_clear(&xml);
	}
	return true;
}

static void
heal(const struct work_env *on)
{
	const struct vm_heal_request request = {
		.env = *on, .uuid = (char *)TEST_VM, .op = (char *)"", .target = (char *)""
	};
	struct vm_result result = { 0 };

	must_run(WORK_VM_HEAL, &request, &result);
	model_clear(&vm_result_model, &result);
}

static struct work_env
dead_host(void)
{
	struct work_env ret = env;

	ret.host = (char *)HOST2;
	ret.uri = (char *)OTHER_URI;
	return ret;
}

/* For the next step: the VM is HOST2's again, and there is no trace of what was. */
static void
start_anew(void **state)
{
	virDomainPtr there;

	assert_int_equal(two_hosts_teardown(state), 0);
	assert_int_equal(claim_setup(state), 0);
	there = virDomainLookupByUUIDString(other, TEST_VM);
	if (there) {
		virDomainUndefine(there);
		virDomainFree(there);
	}
	lose_host();
}

/* One host has it, by registry and by libvirt. */
static void
expect_one(void)
{
	bool here = is_registered(HOST1, TEST_VM);

	assert_int_not_equal(here, is_registered(HOST2, TEST_VM));
	assert_int_equal(domain_state(TEST_VM), here ? VIR_DOMAIN_SHUTOFF : -1);
	assert_false(has_journal_at(HOST1));
	assert_false(has_journal_at(HOST2));
	assert_int_equal(fake_sanlock_held(), 0);
}

static void
test_the_next_claim(void **state)
{
	int n = 1;

	lose_host();
	while (claim_until(n)) {
		must_claim();
		start_anew(state);
		assert_true(++n < STEPS_MAX);
	}
	/* Two leases, journal, rename, definition, log, journal. */
	assert_int_equal(n, 8);
}

static void
test_the_next_heal_here(void **state)
{
	bool moved = false;
	int n = 1;

	lose_host();
	while (claim_until(n)) {
		moved = is_registered(HOST1, TEST_VM);
		heal(&env);
		expect_one();
		assert_int_equal(is_registered(HOST1, TEST_VM), moved);
		if (moved)
			expect_logged("VmFailover", "completed");
		start_anew(state);
		assert_true(++n < STEPS_MAX);
	}
	assert_true(moved);
}

/* The host that had it is back before this one: it does not take it back. */
static void
test_the_return_of_the_dead(void **state)
{
	struct work_env there = dead_host();
	int n = 1;

	lose_host();
	while (claim_until(n)) {
		bool moved = is_registered(HOST1, TEST_VM);

		heal(&there);
		assert_int_equal(is_registered(HOST1, TEST_VM), moved);
		assert_int_equal(state_there(), moved ? -1 : VIR_DOMAIN_SHUTOFF);
		heal(&env);
		expect_one();
		start_anew(state);
		there = dead_host();
		assert_true(++n < STEPS_MAX);
	}
}

/* The disk that HOST2 was about to give it goes, whoever comes next. */
static void
test_with_what_the_dead_had_begun(void **state)
{
	int n = 1;

	for (;; n++) {
		struct disk more = { .path = xstrdup(at("ds/more.qcow2")),
			.bus = DISK_BUS_VIRTIO_BLK,
			.man = DISK_MAN_MODE_MANAGED,
			.prov = DISK_PROV_MODE_THIN,
			.size = 1 };
		struct disk_report report = { 0 };
		bool cut;

		start_anew(state);
		str_set(&more.path, at("ds/more.qcow2"));
		assert_int_equal(storage_make(&env, TEST_VM, &more, false, &report, &failure), 0);
		put_foreign_journal(HOST2, "VmUpdate", &more, NULL, "");
		free(more.path);
		cut = claim_until(n);
		if (cut)
			must_claim();
		assert_false(exists("ds/more.qcow2"));
		assert_null(lease_of("more.qcow2"));
		if (!cut)
			break;
		assert_true(n < STEPS_MAX);
	}
}

/* Where libvirt cannot have it, the file goes back. */
static void
test_a_heal_that_libvirt_refuses(void **state)
{
	lose_host();
	assert_true(claim_until(4));
	assert_true(is_registered(HOST1, TEST_VM));
	libvirt_refuses = true;
	heal(&env);
	expect_untouched(HOST2);
	must_claim();
}

/* Another one has the VM since, as after a repair by hand. */
static void
test_one_that_went_on(void **state)
{
	lose_host();
	assert_true(claim_until(4));
	assert_int_equal(registry_move(disk_root, HOST1, HOST3, TEST_VM, &failure), 0);
	heal(&env);
	expect_untouched(HOST3);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, claim_setup, two_hosts_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_next_claim),
		TEST(test_the_next_heal_here),
		TEST(test_the_return_of_the_dead),
		TEST(test_with_what_the_dead_had_begun),
		TEST(test_a_heal_that_libvirt_refuses),
		TEST(test_one_that_went_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
