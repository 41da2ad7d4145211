/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_root.h"

#include "disk/access.h"
#include "disk/image.h"
#include "disk/nvram.h"
#include "disk/seed.h"

/* A user and a group that nobody has. */
#define UID	60123
#define GID	60124
#define GROUP	60125
#define ANOTHER 60126

static const struct access_user root_user = { 0, 0, ACCESS_NOBODY };
static const struct access_user qemu_user = { UID, GID, GROUP };

static int
setup(void **state)
{
	access_set(&qemu_user);
	return disk_root_setup(state) == 0 && chmod(disk_root, 0755) == 0 ? 0 : -1;
}

static void
expect(const char *path, mode_t mode, gid_t gid)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_uid, 0);
}

static bool
says(const char *path, bool write, const char *words)
{
	_free_ char *why = access_why(path, write);

	return words ? why && strstr(why, words) : !why;
}

static void
expect_why(const char *path, bool write, const char *words)
{
	_free_ char *why = access_why(path, write);

	if (!says(path, write, words))
		fail_msg("'%s' does not say '%s'", str_or_empty(why), str_or_empty(words));
}

static struct disk
disk_of(char *path, enum disk_man_mode man)
{
	return (struct disk){ .path = path, .size = 1, .prov = DISK_PROV_MODE_THIN, .man = man };
}

/* What virtxd makes has the group; what is in folders that it finds is let be. */
static void
test_made(void **state)
{
	const struct cloud_init_option option = { .name = (char[]){ "ci-userdata" },
		.value = (char[]){ "u" } };
	_free_ char *path = xstrdup(at("ds/new/sub/a.raw")), *other = xstrdup(at("ds/other/a.raw"));
	struct disk disk = disk_of(path, DISK_MAN_MODE_MANAGED);
	_free_ char *seed = seed_path(disk_root, TEST_VM);
	enum nvram_copied copied;
	struct error err = { 0 };

	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), 0);
	expect(path, 0660, GROUP);
	expect(at("ds/new"), 02770, GROUP);
	expect(at("ds/new/sub"), 02770, GROUP);
	/* As "virtx storage init" makes it. */
	expect(at("ds"), 02770, GROUP);
	assert_int_equal(image_commit(disk_root, TEST_VM, &disk, &err), 0);

	assert_int_equal(seed_build(disk_root, disk_root, TEST_VM, &option, 1, &err), 0);
	expect(seed, 0640, GROUP);
	expect(at("ds/ci"), 02770, GROUP);
	assert_int_equal(nvram_make_folder(disk_root, &err), 0);
	expect(at("nvram"), 02770, GROUP);
	write_file(at("local.fd"), "v", 1);
	assert_int_equal(nvram_copy(disk_root, TEST_VM, at("local.fd"), &copied, &err), 0);
	expect(at("nvram/" TEST_VM "_VARS.fd"), 0660, GROUP);

	assert_int_equal(mkdir(at("ds/other"), 0), 0);
	assert_int_equal(chown(at("ds/other"), 0, 0), 0);
	assert_int_equal(chmod(at("ds/other"), 0700), 0);
	disk.path = other;
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), 0);
	expect(at("ds/other"), 0700, 0);
}

/* For a QEMU that is root's the group stays as it comes. */
static void
test_made_for_root(void **state)
{
	_free_ char *path = xstrdup(at("ds/group/sub/a.raw"));
	struct disk disk = disk_of(path, DISK_MAN_MODE_MANAGED);
	struct error err = { 0 };

	access_set(&root_user);
	assert_false(access_matters());
	assert_int_equal(mkdir(at("ds/group"), 0), 0);
	assert_int_equal(chown(at("ds/group"), 0, ANOTHER), 0);
	assert_int_equal(chmod(at("ds/group"), 02750), 0);
	assert_int_equal(image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err), 0);
	expect(at("ds"), 0750, 0);
	expect(at("ds/group"), 02750, ANOTHER);
	expect(at("ds/group/sub"), 02770, ANOTHER);
	expect(path, 0660, ANOTHER);
	expect_why(at("ds/group/sub/a.raw"), true, NULL);
}

static void
test_why(void **state)
{
	const char *group_words = "may not write";

	assert_int_equal(chmod(at("ds"), 0755), 0);
	write_file(at("ds/a"), "a", 1);
	expect_why(at("ds/none"), true, NULL);
	expect_why(at("ds/a"), false, NULL);
	expect_why(at("ds/a"), true, group_words);
	assert_int_equal(chmod(at("ds/a"), 0640), 0);
	expect_why(at("ds/a"), false, "may not read");
	expect_why(at("ds/a"), false, "mode 0640 of 0:0");
	/* By its own group; the group that files get is another, which it is no member of. */
	assert_int_equal(chown(at("ds/a"), 0, GID), 0);
	expect_why(at("ds/a"), false, NULL);
	expect_why(at("ds/a"), true, group_words);
	assert_int_equal(chown(at("ds/a"), UID, 0), 0);
	expect_why(at("ds/a"), true, NULL);
	assert_int_equal(chmod(at("ds"), 0750), 0);
	expect_why(at("ds/a"), true, "may not enter");
	expect_why(at("ds/a"), true, "ds' (mode 0750 of 0:0)");
}

static void
test_mend(void **state)
{
	_free_ char *path = xstrdup(at("ds/a/a.raw"));
	struct disk disk = disk_of(path, DISK_MAN_MODE_MANAGED);
	struct error err = { 0 };

	/* As they are made for a QEMU of root's. */
	assert_int_equal(mkdir(at("ds/a"), 0750), 0);
	write_file(path, "a", 1);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(image_mend(disk_root, &disk, &err), 0);
	expect(at("ds"), 02770, GROUP);
	expect(at("ds/a"), 02770, GROUP);
	expect(path, 0660, GROUP);

	/* One that is not the VM's own is let be, and so is a folder of somebody's. */
	disk.man = DISK_MAN_MODE_UNMANAGED;
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chmod(at("ds/a"), 0700), 0);
	assert_int_equal(chown(at("ds/a"), 0, 0), 0);
	assert_int_equal(image_mend(disk_root, &disk, &err), 0);
	expect(path, 0600, 0);
	expect(at("ds/a"), 0700, 0);
	assert_int_equal(chown(at("ds/a"), 0, ANOTHER), 0);
	assert_int_equal(chmod(at("ds/a"), 0750), 0);
	assert_int_equal(image_mend(disk_root, &disk, &err), 0);
	expect(at("ds/a"), 0750, ANOTHER);

	/* What has another name may be anybody's: a folder that QEMU writes to is no proof. */
	disk.man = DISK_MAN_MODE_MANAGED;
	assert_int_equal(link(path, at("another")), 0);
	assert_int_equal(image_mend(disk_root, &disk, &err), -1);
	assert_int_equal(err.status, 422);
	expect(path, 0600, 0);
	assert_int_equal(unlink(at("another")), 0);
	assert_int_equal(image_mend(disk_root, &disk, &err), 0);
	expect(path, 0660, GROUP);
}

static void
test_mend_others(void **state)
{
	_free_ char *seed = seed_path(disk_root, TEST_VM);
	struct error err = { 0 };

	assert_int_equal(seed_mend(disk_root, TEST_VM, &err), 0);
	assert_int_equal(nvram_mend(disk_root, TEST_VM, &err), 0);
	assert_int_equal(mkdir(at("ds/ci"), 0750), 0);
	assert_int_equal(mkdir(at("ds/ci/" TEST_VM), 0750), 0);
	write_file(seed, "s", 1);
	assert_int_equal(seed_mend(disk_root, TEST_VM, &err), 0);
	expect(seed, 0640, GROUP);
	expect(at("ds/ci/" TEST_VM), 02770, GROUP);
	assert_int_equal(mkdir(at("nvram"), 0750), 0);
	write_file(at("nvram/" TEST_VM "_VARS.fd"), "v", 1);
	assert_int_equal(nvram_mend(disk_root, TEST_VM, &err), 0);
	expect(at("nvram"), 02770, GROUP);
	expect(at("nvram/" TEST_VM "_VARS.fd"), 0660, GROUP);
}

/* Runs the command that is told: words must be in it, and it has to help. */
static void
expect_remedy(const char *path, bool write, const char *words)
{
	_free_ char *command = access_remedy(path, write);

	if (!words) {
		assert_null(command);
		return;
	}
	assert_non_null(command);
	if (!strstr(command, words))
		fail_msg("'%s' does not say '%s'", command, words);
	assert_int_equal(system(command), 0);
	expect_why(path, write, NULL);
}

static void
test_remedy(void **state)
{
	static const struct access_user member = { UID, GID, GID };

	assert_int_equal(chmod(at("ds"), 0700), 0);
	write_file(at("ds/a"), "a", 1);
	expect_why(at("ds/a"), false, "may not enter");
	expect_remedy(at("ds/a"), false, "chmod o+x '");
	assert_int_equal(chmod(at("ds/a"), 0600), 0);
	expect_remedy(at("ds/a"), false, "chmod o+r '");
	expect_remedy(at("ds/a"), false, NULL);
	/* Of the group that files get QEMU has no part. */
	expect_remedy(at("ds/a"), true, NULL);
	access_set(&member);
	expect_remedy(at("ds/a"), true, "chgrp 60124 '");
	expect(at("ds/a"), 0664, GID);
	assert_int_equal(chmod(at("ds/a"), 0600), 0);
	expect_remedy(at("ds/a"), false, "chmod g+r '");
	assert_int_equal(chown(at("ds/a"), UID, GID), 0);
	assert_int_equal(chmod(at("ds/a"), 0), 0);
	expect_remedy(at("ds/a"), true, "chmod u+rw '");
}

static bool
says_as_another(const char *path, bool write, const char *words)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(setgid(ANOTHER) < 0 || setuid(ANOTHER) < 0 || !says(path, write, words));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

/* Who may not become another goes by the modes. */
static void
test_why_without_rights(void **state)
{
	assert_int_equal(chmod(at("ds"), 0755), 0);
	write_file(at("ds/a"), "a", 1);
	assert_true(says_as_another(at("ds/none"), true, NULL));
	assert_true(says_as_another(at("ds/a"), false, NULL));
	assert_true(says_as_another(at("ds/a"), true, "may not write"));
	assert_int_equal(chown(at("ds"), ANOTHER, GID), 0);
	assert_int_equal(chmod(at("ds"), 0700), 0);
	assert_true(says_as_another(at("ds/a"), false, "may not enter"));
	assert_int_equal(chmod(at("ds"), 0710), 0);
	assert_true(says_as_another(at("ds/a"), false, NULL));
}

/* On a storage where root is nobody: neither the group nor the folder is given. */
static void
test_not_permitted(void **state)
{
	_free_ char *path = xstrdup(at("ds/new/a.raw"));
	struct disk disk = disk_of(path, DISK_MAN_MODE_MANAGED);
	pid_t pid;
	int status = -1;

	assert_int_equal(chmod(at("ds"), 0777), 0);
	pid = fork();
	if (pid == 0) {
		struct error err = { 0 };

		if (setgid(ANOTHER) < 0 || setuid(UID) < 0)
			_exit(1);
		if (image_create(disk_root, TEST_VM, &disk, NULL, NULL, &err) == 0)
			_exit(2);
		if (err.status != 507 || !strstr(err.detail, "group 60125, which QEMU has") ||
		    !strstr(err.detail, "root is nobody"))
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(entries(at("ds")), 0);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, disk_root_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_made),
		TEST(test_made_for_root),
		TEST(test_why),
		TEST(test_remedy),
		TEST(test_why_without_rights),
		TEST(test_mend),
		TEST(test_mend_others),
		TEST(test_not_permitted),
	};

	if (geteuid() != 0)
		return 77; /* skipped: groups are given by root alone */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
