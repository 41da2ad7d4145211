/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of image.c and image_inspect.c, with the real qemu-img. */
#include "disk_root.h"

#include <endian.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "disk/image.h"

#define MIB ((int64_t)1 << 20)

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

/* One at a time: the path is kept here. */
static struct disk
disk_of(const char *path, enum disk_prov_mode prov)
{
	static char kept[PATH_MAX * 2];

	snprintf(kept, sizeof(kept), "%s", path);
	return (struct disk){
		.path = kept,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = prov,
		.size = 16,
	};
}

static void
make(const struct disk *disk)
{
	struct error err = { 0 };

	if (image_create(disk_root, TEST_VM, disk, NULL, NULL, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
inspect(const struct disk *disk, struct image_info *info)
{
	struct error err = { 0 };

	if (image_inspect(disk_root, disk, info, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
refuse(const struct disk *disk, int status, const char *words)
{
	struct image_info info = { .size = -7 };
	struct error err = { 0 };

	assert_int_equal(image_inspect(disk_root, disk, &info, &err), -1);
	if (!strstr(err.detail, words) || !strstr(err.detail, disk->path))
		fail_msg("'%s' is not in '%s'", words, err.detail);
	assert_int_equal(err.status, status);
	assert_int_equal(info.size, -7);
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
test_inspect_raw(void **state)
{
	struct disk disk = disk_of(at("ds/full.raw"), DISK_PROV_MODE_NONE);
	_free_ char *data = xcalloc(1, MIB);
	struct image_info info;

	memset(data, 'x', MIB);
	write_file(disk.path, data, MIB);
	inspect(&disk, &info);
	assert_int_equal(info.size, MIB);
	assert_int_equal(info.prov, DISK_PROV_MODE_THICK);

	/* Raw by name, whatever a guest wrote into it. */
	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd",
			     "-F", "raw", at("ds/evil.raw"), "1G"),
	    0);
	disk = disk_of(at("ds/evil.raw"), DISK_PROV_MODE_NONE);
	inspect(&disk, &info);
	assert_int_equal(info.size, info.physical);
	assert_true(info.size < MIB);

	disk = disk_of(at("ds/none.raw"), DISK_PROV_MODE_NONE);
	assert_int_equal(image_inspect(disk_root, &disk, &info, NULL), -1);
}

static void
test_inspect_qcow2(void **state)
{
	struct image_info info;
	struct disk disk;

	/* Without preallocation, and with something in it. */
	assert_int_equal(
	    run_program("qemu-img", "create", "-q", "-f", "qcow2", at("ds/some.qcow2"), "8M"), 0);
	assert_int_equal(
	    run_program("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 1M", at("ds/some.qcow2")),
	    0);
	disk = disk_of(at("ds/some.qcow2"), DISK_PROV_MODE_NONE);
	inspect(&disk, &info);
	assert_int_equal(info.size, 8 * MIB);
	assert_int_equal(info.prov, DISK_PROV_MODE_THIN);
	assert_true(info.allocation >= MIB && info.allocation < 2 * MIB);

	assert_int_equal(
	    run_program("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 8M", at("ds/some.qcow2")), 0);
	inspect(&disk, &info);
	assert_int_equal(info.prov, DISK_PROV_MODE_THICK);
}

/* Takes base. */
static void
check_base(const char *path, char *base)
{
	_free_ char *wanted = base, *found = NULL;
	struct error err = { 0 };

	if (image_base(disk_root, at(path), &found, &err) < 0)
		fail_msg("%s", err.detail);
	assert_string_equal(str_or_empty(found), str_or_empty(wanted));
}

static void
test_hostile(void **state)
{
	_free_ char *external = xasprintf("data_file=%s,data_file_raw=on", at("ds/external.raw"));
	struct image_info info;
	struct error err = { 0 };
	struct disk disk;

	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd",
			     "-F", "raw", at("ds/backing.qcow2")),
	    0);
	disk = disk_of(at("ds/backing.qcow2"), DISK_PROV_MODE_NONE);
	refuse(&disk, 422, "it has a backing file");
	check_base("ds/backing.qcow2", xstrdup("/etc/passwd"));
	/* libvirt names snapshots so. */
	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b",
			     "a b.qcow2", "-F", "qcow2", at("ds/vm.s1"), "1M"),
	    0);
	check_base("ds/vm.s1", xstrdup(at("ds/a b.qcow2")));
	/* By its own name, whatever links lead there. */
	write_file(at("ds/target.qcow2"), "", 0);
	assert_int_equal(symlink("target.qcow2", at("ds/a b.qcow2")), 0);
	check_base("ds/vm.s1", xstrdup(at("ds/target.qcow2")));
	assert_int_equal(unlink(at("ds/a b.qcow2")), 0);
	assert_int_equal(symlink("/etc/passwd", at("ds/a b.qcow2")), 0);
	check_base("ds/vm.s1", xstrdup(at("ds/a b.qcow2")));
	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b",
			     "nbd://h/x", "-F", "raw", at("ds/net.qcow2"), "1M"),
	    0);
	check_base("ds/net.qcow2", xstrdup("nbd://h/x"));
	assert_int_equal(
	    run_program("qemu-img", "create", "-q", "-f", "qcow2", at("ds/whole.qcow2"), "1M"), 0);
	check_base("ds/whole.qcow2", NULL);
	/* A guest has written a header to its disk. */
	assert_int_equal(rename(at("ds/vm.s1"), at("ds/vm.raw")), 0);
	check_base("ds/vm.raw", NULL);

	assert_int_equal(run_program("qemu-img", "create", "-q", "-f", "qcow2", "-o", external,
			     at("ds/data.qcow2"), "1M"),
	    0);
	disk = disk_of(at("ds/data.qcow2"), DISK_PROV_MODE_NONE);
	refuse(&disk, 422, "its data is in an external file");

	assert_int_equal(
	    run_program("qemu-img", "create", "-q", "--object", "secret,id=s,data=secret", "-f",
		"qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=s", at("ds/aes.qcow2"), "1M"),
	    0);
	disk = disk_of(at("ds/aes.qcow2"), DISK_PROV_MODE_NONE);
	refuse(&disk, 422, "it is encrypted");

	disk = disk_of(at("ds/not.qcow2"), DISK_PROV_MODE_NONE);
	write_file(disk.path, "QFI\xfb", 4);
	refuse(&disk, 422, "it is no qcow2 image");
	write_file(disk.path, "", 0);
	refuse(&disk, 422, "it is no qcow2 image");
	assert_int_equal(unlink(disk.path), 0);
	assert_int_equal(mkfifo(disk.path, 0600), 0);
	refuse(&disk, 422, "a FIFO");
	assert_int_equal(image_inspect(disk_root, &disk, &info, &err), -1);
	assert_int_equal(err.status, 422);
	disk = disk_of(at("ds/none.qcow2"), DISK_PROV_MODE_NONE);
	refuse(&disk, 404, "No such file");
}

/* Headers that promise the impossible: an error in time, of qemu-img's words. */
static void
test_broken_headers(void **state)
{
	static const struct {
		off_t offset;
		uint32_t value;
	} spoils[] = {
		{ 4, 99 },	    /* version */
		{ 20, 63 },	    /* cluster bits */
		{ 36, 0x7fffffff }, /* L1 entries */
		{ 56, 0x7fffffff }, /* refcount table clusters */
		{ 60, 0x7fffffff }, /* snapshots */
		{ 72, 0x7fffffff }, /* features that are not known */
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		struct disk disk = disk_of(at("ds/broken.qcow2"), DISK_PROV_MODE_NONE);
		uint32_t value = htobe32(spoils[i].value);
		struct image_info info;
		struct error err = { 0 };
		int fd;

		assert_int_equal(
		    run_program("qemu-img", "create", "-q", "-f", "qcow2", disk.path, "1M"), 0);
		fd = open(disk.path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &value, 4, spoils[i].offset), 4);
		close(fd);
		assert_int_equal(image_inspect(disk_root, &disk, &info, &err), -1);
		assert_non_null(strstr(err.detail, "qemu-img failed: "));
		assert_int_equal(unlink(disk.path), 0);
	}
}

static void
make_qcow2(const char *path, const char *preallocation, const char *size)
{
	assert_int_equal(
	    run_program("qemu-img", "create", "-q", "-f", "qcow2", "-o", preallocation, path, size),
	    0);
}

/* What image_check says; image_inspect says nothing. */
static void
refuse_claim(const struct disk *disk, const char *words)
{
	struct image_info info = { .size = -7 };
	struct error err = { 0 };

	inspect(disk, &info);
	info.size = -7;
	assert_int_equal(image_check(disk_root, disk, &info, &err), -1);
	if (!strstr(err.detail, words) || !strstr(err.detail, disk->path))
		fail_msg("'%s' is not in '%s'", words, err.detail);
	assert_int_equal(err.status, 422);
	assert_int_equal(info.size, -7);
}

static void
accept_claim(const struct disk *disk, int64_t size, enum disk_prov_mode prov)
{
	struct image_info info = { 0 };
	struct error err = { 0 };

	if (image_check(disk_root, disk, &info, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(info.size, size);
	assert_int_equal(info.prov, prov);
}

/* As every public cloud image is; one that was cut short is missing something. */
static void
test_compressed(void **state)
{
	struct disk disk = disk_of(at("ds/compressed.qcow2"), DISK_PROV_MODE_NONE);
	_free_ uint32_t *data = xcalloc(MIB, 1);
	uint32_t next = 1;
	struct stat st;

	for (int i = 0; i < MIB / 4; i++)
		data[i] = (next = next * 1664525 + 1013904223) & 0x0f0f0f0f;
	write_file(at("ds/plain.raw"), data, MIB);
	assert_int_equal(truncate(at("ds/plain.raw"), 2 * MIB), 0);
	assert_int_equal(run_program("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2",
			     at("ds/plain.raw"), disk.path),
	    0);
	accept_claim(&disk, 2 * MIB, DISK_PROV_MODE_THIN);
	assert_int_equal(stat(disk.path, &st), 0);
	assert_int_equal(truncate(disk.path, st.st_size / 4 * 3), 0);
	refuse_claim(&disk, "it is not whole: it has data at byte ");
	/* A hole for what was lost does not end earlier, but has no table. */
	assert_int_equal(truncate(disk.path, 256 << 10), 0);
	refuse_claim(&disk, "it is not whole");
}

static void
test_not_whole(void **state)
{
	struct disk disk = disk_of(at("ds/cut.qcow2"), DISK_PROV_MODE_NONE);
	const unsigned char features = 0x12; /* the corrupt bit, extended L2 entries */
	int fd;

	make_qcow2(disk.path, "preallocation=full", "4M");
	accept_claim(&disk, 4 * MIB, DISK_PROV_MODE_THICK);
	assert_int_equal(truncate(disk.path, 2 * MIB), 0);
	refuse_claim(&disk, "it is not whole: it has data at byte ");

	make_qcow2(disk.path, "preallocation=metadata", "4M");
	accept_claim(&disk, 4 * MIB, DISK_PROV_MODE_THIN);
	make_qcow2(disk.path, "preallocation=off,extended_l2=on", "4M");
	assert_int_equal(
	    run_program("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 3M", disk.path), 0);
	accept_claim(&disk, 4 * MIB, DISK_PROV_MODE_THIN);
	fd = open(disk.path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &features, 1, 79), 1);
	close(fd);
	refuse_claim(&disk, "it is marked corrupt");
}

/* Another format under the name of a raw one, and sizes that QEMU does not start with. */
static void
test_claim_raw(void **state)
{
	struct disk disk = disk_of(at("ds/claim.raw"), DISK_PROV_MODE_NONE);
	static const char *const formats[] = { "qcow2", "vmdk", "vpc", "vhdx", "vdi" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		assert_int_equal(
		    run_program("qemu-img", "create", "-q", "-f", formats[i], disk.path, "1M"), 0);
		refuse_claim(&disk, " image, and its name says that it is raw");
		assert_int_equal(unlink(disk.path), 0);
	}
	write_file(disk.path, disk_root, 8);
	assert_int_equal(truncate(disk.path, MIB + 100), 0);
	refuse_claim(&disk, "its 1048676 bytes are no multiple of 512");
	disk.device = DISK_DEVICE_CDROM;
	accept_claim(&disk, MIB + 100, DISK_PROV_MODE_THIN);
	disk.device = DISK_DEVICE_DISK;
	assert_int_equal(truncate(disk.path, 0), 0);
	refuse_claim(&disk, "it is a disk of no bytes");
	/* A guest that encrypts its disk itself has made this one. */
	write_file(disk.path, "LUKS\xba\xbe\0\x01", 8);
	assert_int_equal(truncate(disk.path, MIB), 0);
	accept_claim(&disk, MIB, DISK_PROV_MODE_THIN);
	/* A hole at its front hides the storage's unit from QEMU. */
	assert_int_equal(truncate(disk.path, 0), 0);
	assert_int_equal(truncate(disk.path, MIB + 512), 0);
	refuse_claim(&disk, "its 1049088 bytes are no multiple of 4096");
	assert_int_equal(truncate(disk.path, MIB), 0);
	accept_claim(&disk, MIB, DISK_PROV_MODE_THIN);
}

/* As QEMU locks an image that a guest has. */
static void
test_unused(void **state)
{
	struct disk disk = disk_of(at("ds/used.raw"), DISK_PROV_MODE_THIN);
	struct flock lock = { .l_type = F_RDLCK, .l_start = 201, .l_len = 1 };
	struct error err = { 0 };
	int fd;

	assert_int_equal(image_check_unused(disk_root, &disk, &err), 0);
	write_file(disk.path, disk_root, 300);
	assert_int_equal(image_check_unused(disk_root, &disk, &err), 0);
	fd = open(disk.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(image_check_unused(disk_root, &disk, &err), -1);
	assert_int_equal(err.status, 409);
	assert_non_null(strstr(err.detail, disk.path));
	close(fd);
	assert_int_equal(image_check_unused(disk_root, &disk, &err), 0);
}

/* As qemu-img locks an image while it is looked at, in another job. */
static void
test_unused_while_inspected(void **state)
{
	struct disk disk = disk_of(at("ds/seen.raw"), DISK_PROV_MODE_THIN);
	struct flock lock = { .l_type = F_RDLCK, .l_start = 100, .l_len = 1 };
	struct error err = { 0 };
	int fd;

	write_file(disk.path, disk_root, 300);
	fd = open(disk.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(image_check_unused(disk_root, &disk, &err), 0);
	close(fd);
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
		cmocka_unit_test(test_inspect_raw),
		cmocka_unit_test(test_inspect_qcow2),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_broken_headers),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_not_whole),
		cmocka_unit_test(test_claim_raw),
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_unused_while_inspected),
		cmocka_unit_test(test_links_outside),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
