/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of image_list.c. */
#include "disk_root.h"

#include "disk/image.h"

#define STAGED ".0123456789abcdef0123456789abcdef." TEST_VM ".new"

struct seen {
	char text[4096];
	int n;
};

static void
note(const char *path, void *arg)
{
	struct seen *seen = arg;

	assert_true(strncmp(path, disk_root, strlen(disk_root)) == 0);
	strncat(seen->text, path + strlen(disk_root), sizeof(seen->text) - strlen(seen->text) - 2);
	strcat(seen->text, "\n");
	seen->n++;
}

static void
test_walk(void **state)
{
	struct error err = { 0 };
	struct seen seen = { 0 };
	bool complete = false;

	assert_int_equal(mkdir(at("ds/a"), 0750), 0);
	assert_int_equal(mkdir(at("ds/a/b"), 0750), 0);
	write_file(at("ds/one.raw"), "", 0);
	write_file(at("ds/a/b/two.raw"), "", 0);
	assert_int_equal(mkfifo(at("ds/fifo"), 0600), 0);
	assert_int_equal(symlink("/", at("ds/root")), 0);
	assert_int_equal(symlink("one.raw", at("ds/link.raw")), 0);
	assert_int_equal(image_walk(disk_root, 100, note, &seen, &complete, &err), 0);
	assert_true(complete);
	assert_int_equal(seen.n, 2);
	assert_non_null(strstr(seen.text, "/ds/one.raw\n"));
	assert_non_null(strstr(seen.text, "/ds/a/b/two.raw\n"));

	/* The bound counts what is no file, too. */
	assert_int_equal(image_walk(disk_root, 3, note, &seen, &complete, &err), 0);
	assert_false(complete);
}

static void
test_depth(void **state)
{
	struct error err = { 0 };
	struct seen seen = { 0 };
	_free_ char *path = xstrdup("ds");
	bool complete = true;

	for (int i = 0; i < 17; i++) {
		char *deeper = xasprintf("%s/d", path);

		free(path);
		path = deeper;
		assert_int_equal(mkdir(at(path), 0750), 0);
		if (i == 14) {
			_free_ char *file = xasprintf("%s/seen.raw", path);

			write_file(at(file), "", 0);
		}
	}
	free(path);
	path = xasprintf("ds/d%s/unseen.raw", "/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d");
	write_file(at(path), "", 0);
	assert_int_equal(image_walk(disk_root, 1000, note, &seen, &complete, &err), 0);
	assert_false(complete);
	assert_non_null(strstr(seen.text, "/seen.raw\n"));
	assert_null(strstr(seen.text, "unseen.raw"));
}

static void
test_no_directory(void **state)
{
	struct error err = { 0 };
	struct seen seen = { 0 };
	bool complete;

	assert_int_equal(image_walk(at("none"), 10, note, &seen, &complete, &err), -1);
	assert_int_equal(err.status, 507);
}

static void
test_staged(void **state)
{
	static const char *const bad[] = { "", "/", ".new", "x.new", "/vms/ds/a.qcow2",
		"." TEST_VM ".new", ".hash" TEST_VM ".new", "hash." TEST_VM ".new",
		".hash." TEST_VM ".ne", ".hash." TEST_VM "x.new",
		".hash.5A1F3C7E-9B52-4D0A-8F3E-0C1D2E3F4A5B.new", STAGED "/x" };
	char uuid[37];

	assert_true(image_staged("/vms/ds/deep/" STAGED, uuid));
	assert_string_equal(uuid, TEST_VM);
	assert_true(image_staged(STAGED, uuid));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(image_staged(bad[i], uuid));
}

static void
test_drop(void **state)
{
	struct error err = { 0 };
	struct stat st;

	write_file(at("ds/image.raw"), "data", 4);
	assert_int_equal(link(at("ds/image.raw"), at("ds/" STAGED)), 0);
	assert_int_equal(image_drop_staged(disk_root, at("ds/image.raw"), &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(image_drop_staged(disk_root, at("ds/" STAGED), &err), 0);
	assert_int_equal(image_drop_staged(disk_root, at("ds/" STAGED), &err), 0);
	assert_int_equal(image_drop_staged(disk_root, at("ds/gone/" STAGED), &err), 0);
	/* The image that was finished under it stays. */
	assert_int_equal(image_stat(disk_root, at("ds/image.raw"), &st, &err), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(image_stat(disk_root, at("ds/" STAGED), &st, &err), -1);
	assert_int_equal(err.status, 404);
	assert_true(image_is_absent(disk_root, at("ds/" STAGED)));
	assert_true(image_is_absent(disk_root, at("ds/gone/image.raw")));
	assert_false(image_is_absent(disk_root, at("ds/image.raw")));
	assert_false(image_is_absent(disk_root, "/tmp/" STAGED));
	assert_int_equal(image_drop_staged(disk_root, "/tmp/" STAGED, &err), -1);
	assert_int_equal(err.status, 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_drop),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
