/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain/registry.h"
#include "scratch.h"

#define HOST1 "11111111-1111-4111-8111-111111111111"
#define HOST2 "22222222-2222-4222-8222-222222222222"
#define VM1   "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define VM2   "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
#define XML   "<domain>ö</domain>\n"

/* How the rename that follows answers. */
static enum {
	RENAME_WELL,
	RENAME_LOST_ANSWER, /* NFS: done, and ENOENT when asked again */
	RENAME_LOST_RACE,   /* another host has moved the file elsewhere */
	RENAME_FULL,
} rename_mode;

int
renameat(int from, const char *name, int to, const char *new_name)
{
	errno = ENOSPC;
	if (rename_mode == RENAME_FULL)
		return -1;
	if (rename_mode == RENAME_LOST_RACE)
		unlinkat(from, name, 0);
	else if (syscall(SYS_renameat2, from, name, to, new_name, 0) < 0)
		return -1;
	if (rename_mode == RENAME_WELL)
		return 0;
	errno = ENOENT;
	return -1;
}

static int
setup(void **state)
{
	rename_mode = RENAME_WELL;
	return scratch_storage_setup(state);
}

static void
save(const char *root, const char *host, const char *uuid, const char *xml)
{
	struct error err = { 0 };

	if (registry_save(root, host, uuid, xml, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
expect_content(const char *root, const char *host, const char *uuid, const char *xml)
{
	struct error err = { 0 };
	_free_ char *text = NULL;

	if (registry_load(root, host, uuid, &text, &err) < 0)
		fail_msg("%s", err.detail);
	assert_non_null(text);
	assert_string_equal(text, xml);
}

static void
expect_error(const struct error *err, int status, const char *detail)
{
	assert_int_equal(err->status, status);
	if (!strstr(err->detail, detail))
		assert_string_equal(err->detail, detail);
}

static void
expect_missing(const char *root, const char *host, const char *uuid)
{
	struct error err = { 0 };
	char *text = NULL;

	assert_int_equal(registry_load(root, host, uuid, &text, &err), 0);
	assert_null(text);
}

/* The number of files in a host's directory, hidden ones too. */
static int
count_files(const char *root, const char *host)
{
	_free_ char *path = xasprintf("%s/xml/%s", root, host);
	DIR *dir = opendir(path);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void
test_save_and_load(void **state)
{
	mode_t mask = umask(077);

	save(*state, HOST1, VM1, XML);
	umask(mask);
	expect_content(*state, HOST1, VM1, XML);
	assert_int_equal(scratch_mode(*state, "xml/" HOST1 "/" VM1 ".xml"), 0640);
	save(*state, HOST1, VM1, "<domain/>");
	expect_content(*state, HOST1, VM1, "<domain/>");
	save(*state, HOST1, "AAAAAAAA-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "normalised");
	expect_content(*state, HOST1, VM1, "normalised");
	assert_int_equal(count_files(*state, HOST1), 1);
	expect_missing(*state, HOST1, VM2);
	expect_missing(*state, HOST2, VM1);
}

static void
test_stat(void **state)
{
	_free_ char *file = scratch_path(*state, "xml/" HOST1 "/" VM1 ".xml");
	struct error err = { 0 };
	struct stat found, own;
	bool absent;
	int folder;

	assert_int_equal(registry_open(*state, HOST1, &absent, &err), -1);
	assert_true(absent && err.status == 0);
	save(*state, HOST1, VM1, XML);
	folder = registry_open(*state, HOST1, &absent, &err);
	assert_true(folder >= 0 && !absent);
	assert_int_equal(registry_stat(folder, VM1, &found, &err), 0);
	assert_int_equal(stat(file, &own), 0);
	assert_true(found.st_ino == own.st_ino && found.st_size == own.st_size);
	/* What comes and goes meanwhile is seen by the same folder. */
	assert_int_equal(registry_stat(folder, VM2, &found, &err), 1);
	save(*state, HOST1, VM2, XML);
	assert_int_equal(registry_stat(folder, VM2, &found, &err), 0);
	assert_int_equal(registry_remove(*state, HOST1, VM1, &err), 0);
	assert_int_equal(registry_stat(folder, VM1, &found, &err), 1);
	assert_int_equal(err.status, 0);
	close(folder);
	assert_int_equal(registry_open(*state, "..", &absent, &err), -1);
	expect_error(&err, 400, "'..' is no uuid of a host");
}

static void
test_directories(void **state)
{
	mode_t mask = umask(0);

	save(*state, HOST1, VM1, XML);
	umask(mask);
	assert_int_equal(scratch_mode(*state, "xml/" HOST1), 0750);
}

static void
test_root_that_is_not_mounted(void **state)
{
	_free_ char *root = scratch_path(*state, "gone");
	_free_ char *path = xasprintf("cannot open the storage root '%s': No such file", root);
	struct registry_entry *entries = NULL;
	struct error err = { 0 };
	char *text = NULL;
	char host[37];
	size_t n = 7;

	assert_int_equal(registry_save(root, HOST1, VM1, XML, &err), -1);
	expect_error(&err, 507, path);
	assert_int_equal(scratch_mode(*state, "gone"), -1);
	assert_int_equal(registry_load(root, HOST1, VM1, &text, &err), -1);
	expect_error(&err, 507, path);
	assert_int_equal(registry_remove(root, HOST1, VM1, &err), -1);
	expect_error(&err, 507, path);
	assert_int_equal(registry_find(root, VM1, host, &err), -1);
	expect_error(&err, 507, path);
	assert_int_equal(registry_list(root, NULL, &entries, &n, &err), -1);
	expect_error(&err, 507, path);
	assert_null(entries);
	assert_int_equal(n, 7);
}

static void
test_find_other(void **state)
{
	struct error err = { 0 };
	char host[37];

	save(*state, HOST1, VM1, XML);
	assert_int_equal(registry_find_other(*state, HOST1, VM1, host, &err), 0);
	assert_string_equal(host, "");
	assert_int_equal(registry_find_other(*state, HOST2, VM1, host, &err), 0);
	assert_string_equal(host, HOST1);
	save(*state, HOST2, VM1, XML);
	assert_int_equal(registry_find_other(*state, HOST1, VM1, host, &err), 0);
	assert_string_equal(host, HOST2);
}

static void
test_names_are_uuids(void **state)
{
	static const char *const names[] = { "", "..", "../" VM1, VM1 "/", VM1 "x" };
	struct error err = { 0 };
	char *text = NULL;
	char host[37];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(registry_save(*state, HOST1, names[i], XML, &err), -1);
		expect_error(&err, 400, "is no uuid of a VM");
		assert_int_equal(registry_save(*state, names[i], VM1, XML, &err), -1);
		expect_error(&err, 400, "is no uuid of a host");
		assert_int_equal(registry_load(*state, names[i], VM1, &text, &err), -1);
		expect_error(&err, 400, "is no uuid of a host");
		assert_int_equal(registry_remove(*state, HOST1, names[i], &err), -1);
		assert_int_equal(registry_move(*state, HOST1, names[i], VM1, &err), -1);
		expect_error(&err, 400, "is no uuid of a host");
		assert_int_equal(registry_find(*state, names[i], host, &err), -1);
	}
	assert_int_equal(scratch_mode(*state, "xml/" HOST1), -1);
}

static void
test_links_are_not_followed(void **state)
{
	_free_ char *file = scratch_path(*state, "xml/" HOST1 "/" VM1 ".xml");
	_free_ char *dir = scratch_path(*state, "xml/" HOST2);
	struct error err = { 0 };
	char *text = NULL;

	save(*state, HOST1, VM2, XML);
	scratch_write(*state, "secret", "secret");
	scratch_mkdir(*state, "outside");
	assert_int_equal(symlink("../../secret", file), 0);
	assert_int_equal(symlink("../outside", dir), 0);

	assert_int_equal(registry_load(*state, HOST1, VM1, &text, &err), -1);
	expect_error(&err, 507, "cannot open '");
	assert_int_equal(registry_save(*state, HOST2, VM1, XML, &err), -1);
	expect_error(&err, 507, "Not a directory");
	assert_int_equal(registry_move(*state, HOST1, HOST2, VM2, &err), -1);
	expect_error(&err, 507, "Not a directory");
	expect_content(*state, HOST1, VM2, XML);
	/* Saving replaces the link and leaves alone what it points to. */
	save(*state, HOST1, VM1, XML);
	expect_content(*state, HOST1, VM1, XML);
	assert_int_equal(scratch_mode(*state, "secret"), 0600);
}

static void
test_what_is_no_regular_file(void **state)
{
	_free_ char *fifo = scratch_path(*state, "xml/" HOST1 "/" VM1 ".xml");
	struct error err = { 0 };
	char *text = NULL;
	char host[37];

	save(*state, HOST1, VM2, XML);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(registry_load(*state, HOST1, VM1, &text, &err), -1);
	expect_error(&err, 507, "is no regular file");
	assert_int_equal(registry_find(*state, VM1, host, &err), 0);
	assert_string_equal(host, "");
}

static void
test_size_is_capped(void **state)
{
	_free_ char *xml = xcalloc(1, 1024 * 1024 + 2);
	struct error err = { 0 };
	char *text = NULL;

	memset(xml, 'x', 1024 * 1024);
	save(*state, HOST1, VM1, xml);
	expect_content(*state, HOST1, VM1, xml);
	xml[1024 * 1024] = 'x';
	assert_int_equal(registry_save(*state, HOST1, VM2, xml, &err), -1);
	expect_error(&err, 507, "is longer than 1048576 bytes");
	scratch_write(*state, "xml/" HOST1 "/" VM2 ".xml", xml);
	assert_int_equal(registry_load(*state, HOST1, VM2, &text, &err), -1);
	expect_error(&err, 507, "is longer than 1048576 bytes, and not what was saved");
}

static void
test_failed_save_leaves_what_was(void **state)
{
	_free_ char *stale = xasprintf("xml/" HOST1 "/." VM1 ".xml.%ld", (long)getpid());
	struct error err = { 0 };

	save(*state, HOST1, VM1, XML);
	rename_mode = RENAME_FULL;
	assert_int_equal(registry_save(*state, HOST1, VM1, "<new/>", &err), -1);
	expect_error(&err, 507, "No space left on device");
	expect_content(*state, HOST1, VM1, XML);
	assert_int_equal(count_files(*state, HOST1), 1);

	/* A killed process of the same pid does not stand in the way. */
	rename_mode = RENAME_WELL;
	scratch_write(*state, stale, "half");
	save(*state, HOST1, VM1, "<new/>");
	expect_content(*state, HOST1, VM1, "<new/>");
	assert_int_equal(count_files(*state, HOST1), 1);
}

static void
test_remove(void **state)
{
	struct error err = { 0 };

	assert_int_equal(registry_remove(*state, HOST1, VM1, &err), 0);
	save(*state, HOST1, VM1, XML);
	assert_int_equal(registry_remove(*state, HOST1, VM1, &err), 0);
	expect_missing(*state, HOST1, VM1);
	assert_int_equal(registry_remove(*state, HOST1, VM1, &err), 0);
}

static void
test_move(void **state)
{
	struct error err = { 0 };
	char host[37];

	assert_int_equal(registry_move(*state, HOST1, HOST2, VM1, &err), 1);
	save(*state, HOST1, VM1, XML);
	assert_int_equal(registry_move(*state, HOST1, HOST2, VM1, &err), 0);
	expect_missing(*state, HOST1, VM1);
	expect_content(*state, HOST2, VM1, XML);
	assert_int_equal(registry_find(*state, VM1, host, &err), 0);
	assert_string_equal(host, HOST2);
	/* Only one mover wins. */
	assert_int_equal(registry_move(*state, HOST1, HOST2, VM1, &err), 1);
	expect_content(*state, HOST2, VM1, XML);
}

static void
test_save_whose_answer_got_lost(void **state)
{
	const char *root = *state;
	struct error err = { 0 };

	save(root, HOST1, VM1, "<old/>");
	rename_mode = RENAME_LOST_ANSWER;
	save(root, HOST1, VM1, XML);
	expect_content(root, HOST1, VM1, XML);
	assert_int_equal(count_files(root, HOST1), 1);

	rename_mode = RENAME_FULL;
	assert_int_equal(registry_save(root, HOST1, VM1, "<new/>", &err), -1);
	expect_error(&err, 507, "No space left");
	expect_content(root, HOST1, VM1, XML);
	assert_int_equal(count_files(root, HOST1), 1);
}

static void
test_move_whose_answer_got_lost(void **state)
{
	struct error err = { 0 };

	save(*state, HOST1, VM1, XML);
	rename_mode = RENAME_LOST_ANSWER;
	assert_int_equal(registry_move(*state, HOST1, HOST2, VM1, &err), 0);
	expect_content(*state, HOST2, VM1, XML);
}

/* A leftover at the target is no proof of having won. */
static void
test_move_that_another_host_won(void **state)
{
	struct error err = { 0 };

	save(*state, HOST1, VM1, XML);
	save(*state, HOST2, VM1, "<leftover/>");
	rename_mode = RENAME_LOST_RACE;
	assert_int_equal(registry_move(*state, HOST1, HOST2, VM1, &err), 1);
	expect_content(*state, HOST2, VM1, "<leftover/>");
}

static int
compare_entries(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct registry_entry));
}

static void
test_list_and_find(void **state)
{
	struct registry_entry *entries = NULL;
	struct error err = { 0 };
	char host[37];
	size_t n = 0;

	assert_int_equal(registry_list(*state, NULL, &entries, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(registry_find(*state, VM1, host, &err), 0);
	assert_string_equal(host, "");

	save(*state, HOST1, VM1, XML);
	save(*state, HOST2, VM2, XML);
	save(*state, HOST2, HOST1, XML);
	scratch_write(*state, "xml/README", "");
	scratch_mkdir(*state, "xml/not-a-host");
	scratch_write(*state, "xml/" HOST2 "/.hidden", "");
	scratch_write(*state, "xml/" HOST2 "/" VM1 ".xml~", "");
	scratch_write(*state, "xml/" HOST2 "/" VM1 ".journal", "");
	scratch_write(*state, "xml/" HOST2 "/AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA.xml", "");
	scratch_write(*state, "xml/" HOST2 "/lockid", "1\n");

	assert_int_equal(registry_list(*state, NULL, &entries, &n, &err), 0);
	assert_int_equal(n, 3);
	qsort(entries, n, sizeof(*entries), compare_entries);
	assert_string_equal(entries[0].uuid, HOST1);
	assert_string_equal(entries[0].host, HOST2);
	assert_string_equal(entries[1].uuid, VM1);
	assert_string_equal(entries[1].host, HOST1);
	assert_string_equal(entries[2].uuid, VM2);
	free(entries);
	assert_int_equal(registry_list(*state, HOST1, &entries, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(entries[0].uuid, VM1);
	free(entries);
	assert_int_equal(registry_list(*state, VM1, &entries, &n, &err), 0);
	assert_int_equal(n, 0);
	free(entries);
	assert_int_equal(registry_find(*state, VM2, host, &err), 0);
	assert_string_equal(host, HOST2);
}

static void
test_lockid(void **state)
{
	static const char *const garbage[] = { "", "x", "0\n", "2001\n", "-1", "7 8\n",
		"99999999999999999999" };
	struct error err = { 0 };
	int lockid = -1;

	assert_int_equal(registry_load_lockid(*state, HOST1, &lockid, &err), 0);
	assert_int_equal(lockid, 0);
	assert_int_equal(registry_save_lockid(*state, HOST1, 2000, &err), 0);
	assert_int_equal(registry_load_lockid(*state, HOST1, &lockid, &err), 0);
	assert_int_equal(lockid, 2000);
	assert_int_equal(registry_load_lockid(*state, HOST2, &lockid, &err), 0);
	assert_int_equal(lockid, 0);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		scratch_write(*state, "xml/" HOST1 "/lockid", garbage[i]);
		assert_int_equal(registry_load_lockid(*state, HOST1, &lockid, &err), 0);
		assert_int_equal(lockid, 0);
	}
	scratch_write(*state, "xml/" HOST1 "/lockid", "7");
	assert_int_equal(registry_load_lockid(*state, HOST1, &lockid, &err), 0);
	assert_int_equal(lockid, 7);
	assert_int_equal(registry_save_lockid(*state, HOST1, 0, &err), -1);
	expect_error(&err, 400, "the lock id 0 is not in 1..2000");
	assert_int_equal(registry_save_lockid(*state, HOST1, 2001, &err), -1);
	assert_int_equal(registry_save_lockid(*state, "x", 1, &err), -1);
}

/* A save that was killed leaves a file of its process; one that is under way is left alone. */
static void
test_sweep(void **state)
{
	_free_ char *living = xasprintf("xml/" HOST1 "/." VM2 ".xml.%ld", (long)getpid());
	struct error err = { 0 };

	assert_int_equal(registry_sweep(*state, HOST1, &err), 0);
	save(*state, HOST1, VM1, XML);
	/* Above any process id that Linux gives. */
	scratch_write(*state, "xml/" HOST1 "/." VM1 ".xml.4194305", "half");
	scratch_write(*state, "xml/" HOST1 "/." VM1 ".journal.4194305", "half");
	scratch_write(*state, living, "half");
	assert_int_equal(registry_sweep(*state, HOST1, &err), 0);
	assert_int_equal(count_files(*state, HOST1), 2);
	expect_content(*state, HOST1, VM1, XML);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_save_and_load),
		TEST(test_stat),
		TEST(test_directories),
		TEST(test_root_that_is_not_mounted),
		TEST(test_find_other),
		TEST(test_names_are_uuids),
		TEST(test_links_are_not_followed),
		TEST(test_what_is_no_regular_file),
		TEST(test_size_is_capped),
		TEST(test_failed_save_leaves_what_was),
		TEST(test_remove),
		TEST(test_move),
		TEST(test_save_whose_answer_got_lost),
		TEST(test_move_whose_answer_got_lost),
		TEST(test_move_that_another_host_won),
		TEST(test_list_and_find),
		TEST(test_lockid),
		TEST(test_sweep),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
