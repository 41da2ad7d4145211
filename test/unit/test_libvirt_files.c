/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of a domain by the files that libvirtd has written, in folders of the test. */
#include "work_host.h"

#include <time.h>

#include "work/libvirt_files.h"

static const struct libvirt_dirs *
dirs(void)
{
	static char definitions[2 * PATH_MAX], states[2 * PATH_MAX];
	static struct libvirt_dirs found = { "test:///default", definitions, states };

	snprintf(definitions, sizeof(definitions), "%s/definitions", disk_root);
	snprintf(states, sizeof(states), "%s/states", disk_root);
	mkdir(definitions, 0700);
	mkdir(states, 0700);
	return &found;
}

static void
age(const char *below, int seconds)
{
	const struct timespec times[2] = { { time(NULL) - seconds, 0 },
		{ time(NULL) - seconds, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at(below), times, 0), 0);
}

/* As libvirtd does it: another file, in place of the one that was there. */
static void
save(const char *below, int seconds)
{
	_free_ char *temporary = xasprintf("%s.new", below), *from = NULL;

	write_file(at(temporary), "<x/>", 4);
	age(temporary, seconds);
	from = xstrdup(at(temporary));
	assert_int_equal(rename(from, at(below)), 0);
}

/* Of the VM of the test, whose domain is called by its uuid. */
static void
save_definition(int seconds)
{
	save("definitions/" TEST_VM ".xml", seconds);
}

static struct libvirt_files
look(const char *uri)
{
	_domain_ virDomainPtr domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	struct libvirt_files files;

	assert_non_null(domain);
	libvirt_files_look(dirs(), uri, domain, &files);
	return files;
}

static struct libvirt_files
look_here(void)
{
	return look(env.uri);
}

static void
must_be_same(const struct libvirt_files *before)
{
	const struct libvirt_files now = look_here();

	assert_true(libvirt_files_are_same(before, &now));
	assert_true(libvirt_files_are_same(&now, before));
}

static void
must_not_be_same(const struct libvirt_files *before)
{
	const struct libvirt_files now = look_here();

	assert_false(libvirt_files_are_same(before, &now));
	assert_false(libvirt_files_are_same(&now, before));
}

static void
test_a_definition(void **state)
{
	struct libvirt_files before;

	create_small_vm();
	dirs();
	save_definition(3600);
	before = look_here();
	assert_true(before.known && !before.on);
	must_be_same(&before);
	/* The same bytes, and the same times. */
	save_definition(3600);
	must_not_be_same(&before);
	before = look_here();
	must_be_same(&before);
	age("definitions/" TEST_VM ".xml", 1800);
	must_not_be_same(&before);
}

static void
test_what_tells_nothing(void **state)
{
	struct libvirt_files before;

	create_small_vm();
	dirs();
	assert_false(look_here().known);
	/* Not even that it is absent again. */
	before = look_here();
	must_not_be_same(&before);
	save_definition(0);
	assert_false(look_here().known);
	save_definition(3600);
	assert_true(look_here().known);
	assert_false(look("qemu+tcp://elsewhere/system").known);
	assert_int_equal(rename(at("definitions/" TEST_VM ".xml"), at("definitions/elsewhere")), 0);
	assert_int_equal(symlink("elsewhere", at("definitions/" TEST_VM ".xml")), 0);
	assert_false(look_here().known);
}

static void
test_one_that_is_on(void **state)
{
	_domain_ virDomainPtr domain = NULL;
	struct libvirt_files off, before;

	create_small_vm();
	dirs();
	save_definition(3600);
	off = look_here();
	domain = virDomainLookupByUUIDString(libvirt, TEST_VM);
	assert_int_equal(virDomainCreate(domain), 0);
	/* How it runs is not known. */
	assert_false(look_here().known);
	save("states/" TEST_VM ".xml", 3600);
	before = look_here();
	assert_true(before.known && before.on);
	must_be_same(&before);
	must_not_be_same(&off);
	save("states/" TEST_VM ".xml", 3600);
	must_not_be_same(&before);
	save("states/" TEST_VM ".xml", 0);
	assert_false(look_here().known);
	assert_int_equal(virDomainDestroy(domain), 0);
	must_be_same(&off);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORK_TEST(test_a_definition),
		WORK_TEST(test_what_tells_nothing),
		WORK_TEST(test_one_that_is_on),
	};

	return cmocka_run_group_tests_name("libvirt_files", tests, NULL, NULL);
}
