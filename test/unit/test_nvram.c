/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "disk/nvram.h"
#include "scratch.h"

#define UUID "a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"

static void
expect_content(const char *path, const char *text)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_buffer_ struct buffer data = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(read_all(fd, &data, 1000), 0);
	assert_string_equal(str_or_empty(data.data), text);
}

static void
test_copy(void **state)
{
	const char *root = *state;
	_free_ char *path = nvram_path(root, UUID), *from = scratch_path(root, "local.fd");
	_free_ char *folder = scratch_path(root, "nvram");
	struct error err = { 0 };
	struct stat st;

	/* There are none yet: the folder is made. */
	assert_int_equal(nvram_copy(root, UUID, from, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	scratch_write(root, "local.fd", "first");
	assert_int_equal(nvram_copy(root, UUID, from, &err), 0);
	expect_content(path, "first");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* What was cut off is written again. */
	scratch_write(folder, "." UUID "_VARS.fd.new", "rubbish that is longer");
	scratch_write(root, "local.fd", "second");
	assert_int_equal(nvram_copy(root, UUID, from, &err), 0);
	expect_content(path, "second");
	expect_content(from, "second");
	scratch_write(folder, "." UUID "_VARS.fd.new", "");
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void
test_list(void **state)
{
	static const char *const names[] = { UUID "_VARS.fd", "." UUID "_VARS.fd.new",
		UUID "_VARS.fd.new", "." UUID "_VARS.fd", UUID, "x_VARS.fd",
		"A4C1F2D0-1B2C-4D3E-8F4A-5B6C7D8E9F01_VARS.fd", UUID "_VARS.fd2" };
	const char *root = *state;
	_free_ char *folder = scratch_path(root, "nvram");
	_free_ char(*vms)[UUID_TEXT_SIZE] = NULL;
	struct error err = { 0 };
	size_t n;

	assert_int_equal(nvram_list(root, &vms, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(nvram_changed(root, UUID), 0);
	assert_int_equal(nvram_make_folder(root, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		scratch_write(folder, names[i], "");
	assert_int_equal(nvram_list(root, &vms, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(vms[0], UUID);
	assert_string_equal(vms[1], UUID);
	assert_true(now_ms() - nvram_changed(root, UUID) < 60000);
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	free(vms);
	assert_int_equal(nvram_list(root, &vms, &n, &err), 0);
	assert_int_equal(n, 0);
}

static void
test_refused(void **state)
{
	const char *root = *state;
	_free_ char *link = scratch_path(root, "link.fd"), *away = scratch_path(root, "away");
	struct error err = { 0 };

	scratch_write(root, "local.fd", "theirs");
	assert_int_equal(symlink("local.fd", link), 0);
	assert_int_equal(nvram_copy(root, UUID, link, &err), -1);
	assert_int_equal(err.status, 507);
	assert_int_equal(nvram_copy(root, UUID, "/dev/null", &err), -1);
	assert_int_equal(err.status, 422);
	/* A storage that is not mounted is not made. */
	assert_int_equal(nvram_make_folder(away, &err), -1);
	assert_int_equal(access(away, F_OK), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copy, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_list, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refused, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
