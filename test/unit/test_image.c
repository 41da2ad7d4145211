/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of image.c, with the real qemu-img. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "images.h"

static bool endless; /* the storage says that it has all that a number can tell */

int __real_fstatvfs64(int fd, struct statvfs *ret);
int __wrap_fstatvfs64(int fd, struct statvfs *ret);

int
__wrap_fstatvfs64(int fd, struct statvfs *ret)
{
	int r = __real_fstatvfs64(fd, ret);

	if (endless)
		ret->f_blocks = ret->f_bfree = ret->f_bavail = UINT64_MAX / ret->f_frsize;
	return r;
}

/* Each format and provisioning is made, found to be what it was made as, and deleted. */
static void
test_formats(void **state)
{
	static const struct {
		const char *path;
		enum disk_prov_mode prov;
	} cases[] = {
		{ "ds/f/thin.qcow2", DISK_PROV_MODE_THIN },
		{ "ds/f/thick.qcow2", DISK_PROV_MODE_THICK },
		{ "ds/f/thin.raw", DISK_PROV_MODE_THIN },
		{ "ds/f/thick.raw", DISK_PROV_MODE_THICK },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disk disk = disk_of(at(cases[i].path), cases[i].prov);
		struct image_info info;
		struct error err = { 0 };
		struct stat st;

		make(&disk);
		assert_int_equal(stat(disk.path, &st), 0);
		assert_int_equal(st.st_nlink, 2);
		assert_int_equal(st.st_mode & 07777, 0660);
		inspect(&disk, &info);
		assert_int_equal(info.size, 16 * MIB);
		assert_int_equal(info.prov, cases[i].prov);
		assert_int_equal(info.physical, st.st_size);
		assert_int_equal(info.allocation, st.st_blocks * 512);
		if (cases[i].prov == DISK_PROV_MODE_THICK)
			assert_true(info.allocation >= 16 * MIB);
		else
			assert_true(info.allocation < MIB);

		assert_int_equal(image_commit(disk_root, TEST_VM, &disk, &err), 0);
		assert_int_equal(image_commit(disk_root, TEST_VM, &disk, &err), 0);
		assert_int_equal(stat(disk.path, &st), 0);
		assert_int_equal(st.st_nlink, 1);
		assert_int_equal(entries(at("ds/f")), 1);
		/* Committed: nothing is left to undo. */
		assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
		assert_int_equal(access(disk.path, F_OK), 0);
		assert_int_equal(image_delete(disk_root, &disk, &err), 0);
		assert_int_equal(image_delete(disk_root, &disk, &err), 0);
		assert_int_equal(entries(at("ds/f")), 0);
	}
}

static void
test_lazy_refcounts(void **state)
{
	struct disk disk = disk_of(at("ds/lazy.qcow2"), DISK_PROV_MODE_THIN);
	struct error err = { 0 };
	uint64_t compatible;
	int fd;

	make(&disk);
	fd = open(disk.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &compatible, 8, 80), 8);
	close(fd);
	assert_int_equal(compatible, 0);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
}

/* What is there is left alone, whatever it is. */
static void
test_exists(void **state)
{
	struct disk disk = disk_of(at("ds/e/x.raw"), DISK_PROV_MODE_THIN);
	struct error err = { 0 };
	char text[8] = "";
	int fd;

	assert_int_equal(mkdir(at("ds/e"), 0750), 0);
	write_file(disk.path, "precious", 8);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "a regular file is there already"));
	assert_int_equal(entries(at("ds/e")), 1);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	fd = open(disk.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, 8), 8);
	assert_memory_equal(text, "precious", 8);
	close(fd);

	assert_int_equal(unlink(disk.path), 0);
	assert_int_equal(symlink("/etc/passwd", disk.path), 0);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, "a symbolic link is there already"));
	assert_int_equal(image_delete(disk_root, &disk, &err), -1);
	assert_int_equal(err.status, 422);
	assert_int_equal(entries(at("ds/e")), 1);
}

/* Says in which hidden file of the directory an image is staged. */
static char *
staged_in(const char *directory)
{
	DIR *dir = opendir(directory);
	static char path[PATH_MAX * 2 + 512];
	struct dirent *entry;

	path[0] = '\0';
	while ((entry = readdir(dir)))
		if (strstr(entry->d_name, TEST_VM))
			snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
	closedir(dir);
	assert_string_not_equal(path, "");
	return path;
}

static void
test_undo(void **state)
{
	struct disk disk = disk_of(at("ds/u/x.qcow2"), DISK_PROV_MODE_THIN);
	struct error err = { 0 };
	char *staged;

	/* Nothing there, not even the directory. */
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(image_commit(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(image_delete(disk_root, &disk, &err), 0);

	/* Made, not committed: both names go. */
	make(&disk);
	assert_int_equal(entries(at("ds/u")), 2);
	assert_int_equal(image_undo(disk_root, TEST_OTHER, &disk, &err), 0);
	assert_int_equal(entries(at("ds/u")), 2);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(entries(at("ds/u")), 0);

	/* Crashed before the link: the staged one goes. */
	make(&disk);
	assert_int_equal(unlink(disk.path), 0);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(entries(at("ds/u")), 0);

	/* Crashed before the link, and another file came there: that stays. */
	make(&disk);
	assert_int_equal(unlink(disk.path), 0);
	write_file(disk.path, "precious", 8);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(entries(at("ds/u")), 1);
	assert_int_equal(access(disk.path, F_OK), 0);
	assert_int_equal(unlink(disk.path), 0);

	/* A crash between the two unlinks leaves the proof. */
	make(&disk);
	staged = staged_in(at("ds/u"));
	assert_int_equal(unlink(disk.path), 0);
	assert_int_equal(access(staged, F_OK), 0);

	/* A leftover is not taken over. */
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_int_equal(access(staged, F_OK), 0);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(entries(at("ds/u")), 0);
}

static void
test_create_fails(void **state)
{
	struct disk disk = disk_of(at("ds/c/x.vmdk"), DISK_PROV_MODE_THIN);
	struct error err = { 0 };

	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 400);
	assert_int_equal(entries(at("ds/c")), 0);

	disk = disk_of(at("ds/c/x.raw"), DISK_PROV_MODE_NONE);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 400);

	/* More than any storage has: nothing is left. */
	disk = disk_of(at("ds/c/x.raw"), DISK_PROV_MODE_THICK);
	disk.size = INT32_MAX;
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 507);
	assert_non_null(strstr(err.detail, disk.path));
	assert_int_equal(entries(at("ds/c")), 0);

	disk = disk_of(at("xml/x.raw"), DISK_PROV_MODE_THICK);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 400);
}

/* A file system of 4 MiB, and files of at most 1 GiB. */
static int
fill_small_storage(void)
{
	static const struct {
		const char *path;
		enum disk_prov_mode prov;
		int32_t size;
		const char *words;
	} cases[] = {
		{ "ds/full/x.qcow2", DISK_PROV_MODE_THICK, 16,
		    "a thick disk of 16 MiB takes 16 MiB at once, and 4 MiB are free: No space" },
		{ "ds/full/x.raw", DISK_PROV_MODE_THICK, 16,
		    "a thick disk of 16 MiB takes 16 MiB at once, and 4 MiB are free: No space" },
		{ "ds/full/x.qcow2", DISK_PROV_MODE_THIN, 1 << 20,
		    "takes 160 MiB at once, and 4 MiB are free: No space left on device" },
		{ "ds/full/x.qcow2", DISK_PROV_MODE_THIN, INT32_MAX,
		    "takes 327730 MiB at once, and 4 MiB are free: No space left on device" },
		{ "ds/full/x.raw", DISK_PROV_MODE_THIN, 2048,
		    "its file cannot be 2048 MiB long: File too large" },
	};
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disk disk = disk_of(at(cases[i].path), cases[i].prov);
		struct error err = { 0 };

		if (i + 1 == ARRAY_SIZE(cases)) {
			signal(SIGXFSZ, SIG_IGN);
			if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
				return 77;
			limit.rlim_cur = (rlim_t)1 << 30;
			if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
				return 77;
		}
		disk.size = cases[i].size;
		if (image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err) < 0 &&
		    err.status == 507 && strstr(err.detail, cases[i].words) &&
		    entries(at("ds/full")) == 0)
			continue;
		print_error("case %zu: '%s'\n", i, err.detail);
		return 1;
	}
	return 0;
}

/* A disk that the storage has no room for is refused before it takes what there is. */
static void
test_no_space(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(mkdir(at("ds/full"), 0750), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", at("ds/full"), "tmpfs", 0, "size=4m") < 0)
			_exit(77);
		_exit(fill_small_storage());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(rmdir(at("ds/full")), 0);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_endless_space(void **state)
{
	struct disk disk = disk_of(at("ds/endless.raw"), DISK_PROV_MODE_THICK);
	struct error err = { 0 };

	endless = true;
	make(&disk);
	endless = false;
	assert_int_equal(image_commit(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(image_delete(disk_root, &disk, &err), 0);
}

/* As long as a name may be; so the staged one must not be made by lengthening it. */
static void
test_long_name(void **state)
{
	char name[NAME_MAX + 4] = "ds/";
	struct error err = { 0 };
	struct disk disk;

	memset(name + 3, 'n', NAME_MAX - 4);
	strcpy(name + 3 + NAME_MAX - 4, ".raw");
	disk = disk_of(at(name), DISK_PROV_MODE_THIN);
	make(&disk);
	assert_int_equal(access(disk.path, F_OK), 0);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(access(disk.path, F_OK), -1);
}

static void
test_links_outside(void **state)
{
	struct disk disk = disk_of(at("ds/out/x.raw"), DISK_PROV_MODE_THIN);
	struct error err = { 0 };

	assert_int_equal(mkdir(at("outside"), 0750), 0);
	assert_int_equal(symlink("../outside", at("ds/out")), 0);
	write_file(at("outside/x.raw"), "x", 1);
	assert_int_equal(image_delete(disk_root, &disk, &err), -1);
	assert_int_equal(err.status, 422);
	assert_int_equal(image_undo(disk_root, TEST_VM, &disk, &err), 0);
	assert_int_equal(access(at("outside/x.raw"), F_OK), 0);
	disk = disk_of(at("ds/out/y.raw"), DISK_PROV_MODE_THIN);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), -1);
	assert_int_equal(entries(at("outside")), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_lazy_refcounts),
		cmocka_unit_test(test_exists),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_create_fails),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_endless_space),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_links_outside),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
