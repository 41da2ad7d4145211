/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of lun.c on loop devices, where this machine and user have them. */
#include "disk_root.h"

#include "disk/image.h"

#define SIZE (24 << 20)

/* Makes a loop device of a file, which lives as long as the descriptor that is returned; -1 where
 * there are none. */
static int
attach(const char *file, bool partitions, char device[64])
{
	int fds[2], status, fd;
	ssize_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execlp("losetup", "losetup", "--show", "-f", partitions ? "-P" : "-v", file, NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], device, 63);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	device[n > 0 ? n : 0] = '\0';
	device[strcspn(device, "\n")] = '\0';
	if (status != 0)
		return -1;
	fd = open(device, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(run_program("losetup", "-d", device), 0);
	return fd;
}

static void
make_file(const char *path)
{
	_free_ char *data = xcalloc(1, SIZE);

	memset(data, 'x', SIZE);
	write_file(path, data, SIZE);
}

static bool
all_zero(const char *path, off_t offset, size_t len)
{
	_free_ char *data = xcalloc(1, len);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, data, len, offset), len);
	close(fd);
	for (size_t i = 0; i < len; i++)
		if (data[i])
			return false;
	return true;
}

static void
note_progress(int percent, void *arg)
{
	assert_true(percent >= *(int *)arg && percent <= 100);
	*(int *)arg = percent;
}

static void
test_kinds(void **state)
{
	char file[PATH_MAX * 2];
	struct disk disk = { .path = file, .device = DISK_DEVICE_LUN };
	struct image_info info;
	struct error err = { 0 };

	snprintf(file, sizeof(file), "%s", at("ds/file"));
	assert_int_equal(lun_inspect(&disk, &info, &err), -1);
	assert_int_equal(err.status, 404);
	make_file(file);
	assert_int_equal(lun_inspect(&disk, &info, &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "is no block device but a regular file"));
	assert_int_equal(lun_wipe(&disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 422);
	assert_false(all_zero(file, 0, 4096));
	disk.path = (char[]){ "/dev/null" };
	assert_int_equal(lun_inspect(&disk, &info, &err), -1);
	assert_non_null(strstr(err.detail, "a character device"));
	disk.path = disk_root;
	assert_int_equal(lun_wipe(&disk, NULL, NULL, &err), -1);
	assert_non_null(strstr(err.detail, "a directory"));
}

/* By a symbolic link, as in /dev/disk/by-id. */
static void
test_wipe(void **state)
{
	char file[PATH_MAX * 2], link[PATH_MAX * 2], device[64];
	struct disk disk = { .path = link, .device = DISK_DEVICE_LUN };
	struct image_info info;
	struct error err = { 0 };
	int percent = 0, loop;

	snprintf(file, sizeof(file), "%s", at("ds/loop"));
	snprintf(link, sizeof(link), "%s", at("ds/wwn-0x6001"));
	make_file(file);
	loop = attach(file, false, device);
	if (loop < 0)
		skip();
	assert_int_equal(symlink(device, link), 0);
	if (lun_inspect(&disk, &info, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(info.size, SIZE);
	assert_int_equal(info.prov, DISK_PROV_MODE_THIN);
	if (lun_wipe(&disk, note_progress, &percent, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(percent, 100);
	/* A loop device discards by punching holes. */
	assert_true(all_zero(device, 0, SIZE));
	close(loop);
}

/* What others have on it is told, and one that the host uses is nobody else's. */
static void
test_content(void **state)
{
	char file[PATH_MAX * 2], device[64];
	struct disk disk = { .path = device, .device = DISK_DEVICE_LUN };
	_free_ char *content = NULL;
	struct error err = { 0 };
	int loop, user;

	snprintf(file, sizeof(file), "%s", at("ds/content"));
	make_file(file);
	loop = attach(file, false, device);
	if (loop < 0)
		skip();
	if (lun_content(&disk, &content, &err) < 0 || lun_check_unused(&disk, &err) < 0)
		fail_msg("%s", err.detail);
	assert_null(content);
	assert_int_equal(run_program("mkswap", "-q", device), 0);
	if (lun_content(&disk, &content, &err) < 0)
		fail_msg("%s", err.detail);
	assert_string_equal(content, "swap");
	user = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(user >= 0);
	assert_int_equal(lun_check_unused(&disk, &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "is in use by this host itself"));
	assert_non_null(strstr(err.detail, device));
	close(user);
	if (lun_check_unused(&disk, &err) < 0)
		fail_msg("%s", err.detail);
	close(loop);
}

/* A partition discards by its parent's queue, and leaves its neighbours alone. */
static void
test_partition(void **state)
{
	char file[PATH_MAX * 2], path[80], device[64];
	struct disk disk = { .path = path, .device = DISK_DEVICE_LUN };
	struct image_info info;
	struct error err = { 0 };
	int loop;

	snprintf(file, sizeof(file), "%s", at("ds/parts"));
	make_file(file);
	loop = attach(file, true, device);
	if (loop < 0)
		skip();
	snprintf(path, sizeof(path), "%sp1", device);
	assert_int_equal(run_program("addpart", device, "1", "2048", "2048"), 0);
	if (lun_inspect(&disk, &info, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(info.size, 1 << 20);
	if (lun_wipe(&disk, NULL, NULL, &err) < 0)
		fail_msg("%s", err.detail);
	assert_true(all_zero(path, 0, 1 << 20));
	assert_false(all_zero(device, 2 << 20, 4096));
	assert_false(all_zero(device, (1 << 20) - 4096, 4096));
	close(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_partition),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
