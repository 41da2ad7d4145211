/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a reconciliation may take a VM for what it was the time before. */
#include "work_host.h"

#include <time.h>

#include "work/seen_domains.h"

#define LEASES 2

static unsigned int n_read; /* XML of domains, since a reconciliation has begun */

char *
virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	char *(*next)(virDomainPtr, unsigned int) =
	    (char *(*)(virDomainPtr, unsigned int))dlsym(RTLD_NEXT, "virDomainGetXMLDesc");

	n_read++;
	return next(domain, flags);
}

/* Of the test driver, which writes none: the test does. */
static const struct libvirt_dirs *
dirs(void)
{
	static char root[2 * PATH_MAX];
	static const struct libvirt_dirs found = { "test:///default", root, root };

	snprintf(root, sizeof(root), "%s", at("libvirt"));
	return &found;
}

static const char *
registry_file(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/xml/%s/%s.xml", env.root, env.host, TEST_VM);
	return path;
}

/* The file was written that many seconds ago. */
static void
age_file(const char *path, int seconds)
{
	const struct timespec times[2] = { { time(NULL) - seconds, 0 },
		{ time(NULL) - seconds, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
age(int seconds)
{
	age_file(registry_file(), seconds);
}

/* libvirtd writes its file of the domain. */
static void
write_definition(void)
{
	mkdir(at("libvirt"), 0700);
	write_file(at("libvirt/new"), "<x/>", 4);
	age_file(at("libvirt/new"), 3600);
	assert_int_equal(rename(at("libvirt/new"), at("libvirt/" TEST_VM ".xml")), 0);
}

static void
keep(bool registered)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_text_ struct domain_text text = { 0 };
	struct orphan_expected expected[LEASES + 1] = {
		{ .vm = "another" },
		{ .vm = TEST_VM, .lease = "a" },
		{ .vm = TEST_VM, .lease = "b", .comes_and_goes = true },
	};
	const struct orphan_knowledge knowledge = { .expected = expected,
		.n_expected = LEASES + 1 };

	assert_int_equal(domain_text_read(&env, domain, &text), 0);
	seen_domains_keep(&env, TEST_VM, registered, domain, &text, &knowledge, 1);
	seen_domains_end();
}

/* In the next reconciliation. */
static bool
is_recalled_by(const struct libvirt_dirs *libvirt_dirs, bool registered)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	_domain_text_ struct domain_text text = { 0 };
	struct orphan_knowledge knowledge = { 0 };
	bool recalled;

	seen_domains_begin(&env, libvirt_dirs);
	n_read = 0;
	recalled = seen_domains_recall(&env, TEST_VM, registered, domain, &text, &knowledge);
	seen_domains_end();
	assert_int_equal(knowledge.n_expected, recalled ? LEASES : 0);
	if (recalled) {
		assert_string_equal(knowledge.expected[0].lease, "a");
		assert_string_equal(knowledge.expected[1].lease, "b");
		assert_true(knowledge.expected[1].comes_and_goes);
	}
	free(knowledge.expected);
	return recalled;
}

static bool
is_recalled(bool registered)
{
	return is_recalled_by(dirs(), registered);
}

static void
keep_small_vm(void)
{
	create_small_vm();
	age(3600);
	seen_domains_begin(&env, dirs());
	keep(true);
	assert_true(is_recalled(true));
}

static void
test_all_is_as_it_was(void **state)
{
	keep_small_vm();
	assert_true(is_recalled(true));
	/* It is not registered any more. */
	assert_false(is_recalled(false));
}

static void
test_libvirt_tells_something_else(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	keep_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainSetMemoryFlags(
			     domain, 32 * 1024, VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_MEM_CURRENT),
	    0);
	assert_false(is_recalled(true));
}

static void
test_it_runs_now(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	keep_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	assert_false(is_recalled(true));
}

/* One byte more, and the times as they were. */
static void
test_the_file_is_written_over(void **state)
{
	FILE *file;

	keep_small_vm();
	file = fopen(registry_file(), "a");
	assert_non_null(file);
	fputc('\n', file);
	fclose(file);
	age(3600);
	assert_false(is_recalled(true));
}

static void
test_the_file_is_replaced(void **state)
{
	_free_ char *copy = xasprintf("%s.copy", registry_file());

	keep_small_vm();
	assert_int_equal(run_program("cp", "-p", registry_file(), copy), 0);
	assert_int_equal(rename(copy, registry_file()), 0);
	assert_false(is_recalled(true));
}

static void
test_the_file_is_gone(void **state)
{
	keep_small_vm();
	assert_int_equal(unlink(registry_file()), 0);
	assert_false(is_recalled(true));
}

/* What has just been written may be written again within a tick of the storage's clock. */
static void
test_a_young_file(void **state)
{
	create_small_vm();
	age(0);
	seen_domains_begin(&env, dirs());
	keep(true);
	assert_false(is_recalled(true));
	/* Of one without a file there is nothing to look at. */
	keep(false);
	assert_true(is_recalled(false));
}

static void
test_a_damaged_file(void **state)
{
	create_small_vm();
	assert_int_equal(truncate(registry_file(), 20), 0);
	age(3600);
	seen_domains_begin(&env, dirs());
	keep(true);
	assert_false(is_recalled(true));
}

/* Nothing is asked of a libvirtd that has written nothing. */
static void
test_libvirtd_has_written_nothing(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	write_definition();
	keep_small_vm();
	assert_int_equal(n_read, 0);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainSetMemoryFlags(
			     domain, 32 * 1024, VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_MEM_CURRENT),
	    0);
	assert_true(is_recalled(true));
	/* When it has, its XML tells. */
	write_definition();
	assert_false(is_recalled(true));
	assert_int_equal(n_read, 1);
}

/* The same words, from files that are others: those count from then on. */
static void
test_libvirtd_has_written_the_same(void **state)
{
	write_definition();
	keep_small_vm();
	write_definition();
	assert_true(is_recalled(true));
	assert_int_equal(n_read, 1);
	assert_true(is_recalled(true));
	assert_int_equal(n_read, 0);
}

/* Once in a while all are asked for. */
static void
test_its_files_do_not_count(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	write_definition();
	keep_small_vm();
	assert_true(is_recalled_by(NULL, true));
	assert_int_equal(n_read, 1);
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainSetMemoryFlags(
			     domain, 32 * 1024, VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_MEM_CURRENT),
	    0);
	assert_false(is_recalled_by(NULL, true));
}

/* What it has written of one that is off tells nothing of one that is on. */
static void
test_its_file_of_one_that_is_on(void **state)
{
	_domain_ virDomainPtr domain = NULL;

	write_definition();
	keep_small_vm();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	assert_false(is_recalled(true));
	assert_int_equal(n_read, 2);
}

/* A VM that was away may have been anywhere. */
static void
test_it_was_not_met(void **state)
{
	keep_small_vm();
	seen_domains_begin(&env, dirs());
	assert_false(is_recalled(true));
}

static void
test_another_storage(void **state)
{
	struct work_env elsewhere = env;

	keep_small_vm();
	elsewhere.root = (char *)"/elsewhere";
	seen_domains_begin(&elsewhere, dirs());
	assert_false(is_recalled(true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_all_is_as_it_was),
		WORK_TEST(test_libvirt_tells_something_else),
		WORK_TEST(test_it_runs_now),
		WORK_TEST(test_the_file_is_written_over),
		WORK_TEST(test_the_file_is_replaced),
		WORK_TEST(test_the_file_is_gone),
		WORK_TEST(test_a_young_file),
		WORK_TEST(test_a_damaged_file),
		WORK_TEST(test_libvirtd_has_written_nothing),
		WORK_TEST(test_libvirtd_has_written_the_same),
		WORK_TEST(test_its_files_do_not_count),
		WORK_TEST(test_its_file_of_one_that_is_on),
		WORK_TEST(test_it_was_not_met),
		WORK_TEST(test_another_storage),
	};

	return cmocka_run_group_tests_name("seen_domains", tests, NULL, NULL);
}
