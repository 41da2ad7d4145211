/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
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
	enum nvram_copied copied;
	struct error err = { 0 };
	struct stat st;

	/* There are none yet. */
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(nvram_make_folder(root, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	scratch_write(root, "local.fd", "first");
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	expect_content(path, "first");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	/* What was cut off is written again. */
	scratch_write(folder, "." UUID "_VARS.fd.new", "rubbish that is longer");
	assert_int_equal(unlink(path), 0);
	scratch_write(root, "local.fd", "second");
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(copied, NVRAM_COPIED);
	expect_content(path, "second");
	expect_content(from, "second");
	scratch_write(folder, "." UUID "_VARS.fd.new", "");
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* A file of size bytes that says that it is a volume of length, or nothing. */
static void
check_fault(const char *root, uint64_t length, off_t size, const char *why)
{
	_free_ char *path = scratch_path(root, "vars.fd");
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const uint64_t word = htole64(length);
	struct error err = { 0 };

	assert_true(fd >= 0);
	if (length)
		assert_true(
		    pwrite(fd, &word, sizeof(word), 32) == 8 && pwrite(fd, "_FVH", 4, 40) == 4);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(nvram_check(path, &err), why ? -1 : 0);
	if (why && (err.status != 422 || !strstr(err.detail, why) || !strstr(err.detail, path)))
		fail_msg("'%s' is not in '%s'", why, err.detail);
}

static void
test_check(void **state)
{
	_free_ char *qcow2 = scratch_path(*state, "vars.qcow2");
	struct error err = { 0 };

	assert_int_equal(nvram_check("/nowhere", &err), 0);
	check_fault(*state, 0x84000, 0x84000, NULL);
	/* That of ARM is padded. */
	check_fault(*state, 0xc0000, 64 << 20, NULL);
	/* Without a volume its firmware makes one. */
	check_fault(*state, 0, 0x84000, NULL);
	check_fault(*state, 0x84000, 0, "is empty");
	check_fault(*state, 0x84000, 0x20000, "131072 of at least 540672 bytes");
	check_fault(*state, 0x84000, 20, "20 of at least 4096 bytes");
	check_fault(*state, 0x84000, 0x84001, "no multiple of 4096");
	check_fault(*state, UINT64_MAX, 0x84000, "at least");
	scratch_write(*state, "vars.qcow2", "QFI\xfb");
	assert_int_equal(nvram_check(qcow2, &err), 0);
}

/* Seconds since 1970. */
static void
set_changed(const char *path, time_t at)
{
	const struct timespec times[] = { { .tv_sec = at }, { .tv_sec = at } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Of two that differ the later are the VM's, and none goes unseen. */
static void
test_two(void **state)
{
	const char *root = *state;
	_free_ char *path = nvram_path(root, UUID), *from = scratch_path(root, "local.fd");
	_free_ char *kept = nvram_kept_path(root, UUID), *folder = scratch_path(root, "nvram");
	enum nvram_copied copied;
	struct error err = { 0 };

	assert_int_equal(nvram_make_folder(root, &err), 0);
	scratch_write(folder, UUID "_VARS.fd", "shared");
	/* There is none here. */
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(copied, NVRAM_COPIED);
	expect_content(path, "shared");
	scratch_write(root, "local.fd", "stale");
	set_changed(from, 1000);
	set_changed(path, 1001);
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(copied, NVRAM_LATER);
	expect_content(path, "shared");
	expect_content(kept, "stale");
	set_changed(from, 1002);
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(copied, NVRAM_REPLACED);
	expect_content(path, "stale");
	expect_content(kept, "shared");
	/* The same again, as after a copy whose definition was not made. */
	set_changed(from, now_ms() / 1000 + 60);
	assert_int_equal(nvram_copy(root, UUID, from, &copied, &err), 0);
	assert_int_equal(copied, NVRAM_COPIED);
	expect_content(kept, "shared");
	assert_int_equal(nvram_delete(root, UUID, &err), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void
test_list(void **state)
{
	static const char *const names[] = { UUID "_VARS.fd", "." UUID "_VARS.fd.new",
		"." UUID "_VARS.fd.old", UUID "_VARS.fd.new", UUID "_VARS.fd.old",
		"." UUID "_VARS.fd", UUID, "x_VARS.fd",
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
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(vms[i], UUID);
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
	enum nvram_copied copied;
	struct error err = { 0 };

	scratch_write(root, "local.fd", "theirs");
	assert_int_equal(symlink("local.fd", link), 0);
	assert_int_equal(nvram_copy(root, UUID, link, &copied, &err), -1);
	assert_int_equal(err.status, 507);
	assert_int_equal(nvram_copy(root, UUID, "/dev/null", &copied, &err), -1);
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
		cmocka_unit_test_setup_teardown(test_check, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_two, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_list, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refused, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
