/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_root.h"

#include "domain/registry.h"
#include "work/folders.h"
#include "work/identity.h"

#define HOST   "11111111-1111-4111-8111-111111111111"
#define UUID   "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b"
#define MARKER "ds/.virtx-storage"
#define IMAGE  "ds/deep/web.qcow2"

static struct work_env env;
static struct marker storage;

/* A storage as an earlier virtxd has made it: nothing but the registry is marked. */
static int
setup(void **state)
{
	struct error err = { 0 };

	if (disk_root_setup(state) < 0 || mkdir(at("run"), 0700) < 0 ||
	    marker_make(disk_root, "", &storage, &err) < 0)
		return -1;
	env = (struct work_env){ .root = disk_root, .host = (char *)HOST };
	env.run_dir = xstrdup(at("run"));
	return 0;
}

static int
teardown(void **state)
{
	free(env.run_dir);
	return disk_root_teardown(state);
}

static void
put_vm(const char *uuid, const char *image)
{
	_free_ char *xml = xasprintf("<domain type='qemu'><name>web</name><uuid>%s</uuid><devices>"
				     "<disk type='file' device='disk'><source file='%s'/>"
				     "<target dev='sda' bus='scsi'/></disk></devices></domain>",
	    uuid, at(image));
	struct error err = { 0 };

	assert_int_equal(registry_save(disk_root, HOST, uuid, xml, &err), 0);
}

static void
put_image(void)
{
	assert_int_equal(mkdir(at("ds/deep"), 0750), 0);
	write_file(at(IMAGE), "x", 1);
}

static void
expect_well(bool joined, bool strict)
{
	struct error err = { 0 };

	if (folders_check(&env, &storage, joined, strict, &err) < 0)
		fail_msg("%s", err.detail);
}

#define expect_refused(joined, ...) \
	expect_refused_(joined, (const char *const[]){ __VA_ARGS__, NULL })
static void
expect_refused_(bool joined, const char *const *words)
{
	struct error err = { 0 };

	assert_int_equal(folders_check(&env, &storage, joined, true, &err), -1);
	assert_int_equal(err.status, 503);
	for (; *words; words++) {
		if (!strstr(err.detail, *words))
			fail_msg("no '%s' in '%s'", *words, err.detail);
	}
}

static void
expect_marked(bool marked)
{
	assert_int_equal(access(at(MARKER), F_OK), marked ? 0 : -1);
}

static void
swap(const char *from, const char *to)
{
	assert_int_equal(rename(at(from), at(to)), 0);
}

static void
test_empty_proves_nothing(void **state)
{
	expect_refused(true, at("ds"), "does not prove", "`virtx storage init`", storage.uuid);
	expect_marked(false);
	/* Before it is joined nothing of it is told, and nothing made. */
	expect_well(false, false);
	expect_refused(false, "does not prove");
	put_vm(TEST_VM, IMAGE);
	expect_refused(true, "of 1 files", "has 0", at(IMAGE));
	expect_marked(false);
}

static void
test_images_prove(void **state)
{
	put_vm(TEST_VM, IMAGE);
	put_image();
	expect_well(false, true);
	expect_marked(false);
	expect_well(true, false);
	expect_marked(true);
	/* Other hosts find it. */
	identity_forget(&env, "ds");
	assert_int_equal(unlink(at(IMAGE)), 0);
	expect_well(true, true);
	assert_true(identity_is_kept(&env, "ds"));
}

/* A part of them may have been made on the local disk while the folder was not mounted. */
static void
test_some_images_prove_nothing(void **state)
{
	put_vm(TEST_VM, IMAGE);
	put_vm(TEST_OTHER, "ds/elsewhere.raw");
	put_image();
	expect_refused(true, "of 2 files", "has 1", at("ds/elsewhere.raw"));
	expect_marked(false);
}

static void
test_another_folder(void **state)
{
	put_vm(TEST_VM, IMAGE);
	put_image();
	expect_well(true, true);
	swap("ds", "own");
	expect_refused(true, at("ds"), "is not mounted", "nothing");
	/* Stray images do not make it another. */
	assert_int_equal(mkdir(at("ds"), 0750), 0);
	put_image();
	expect_refused(true, at("ds"), "is not mounted", "without its marker");
	expect_marked(false);
	/* Nor does a copy of the marker. */
	assert_int_equal(run_program("cp", at("own/.virtx-storage"), at(MARKER)), 0);
	expect_refused(true, "another one than that which this host has used", "mount that one");
	swap("ds", "copy");
	swap("own", "ds");
	expect_well(true, true);
	/* The very same folder is known without it. */
	assert_int_equal(unlink(at(MARKER)), 0);
	expect_well(true, true);
	expect_marked(true);
}

static void
test_of_another_storage(void **state)
{
	struct error err = { 0 };
	size_t n;

	write_file(at(MARKER), UUID "\n", sizeof(UUID));
	expect_refused(false, at("ds"), UUID, storage.uuid);
	expect_refused(true, at("ds"), UUID, storage.uuid);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), -1);
	assert_non_null(strstr(err.detail, UUID));
	write_file(at(MARKER), "", 0);
	expect_refused(true, at(MARKER), "holds no uuid", "write that of another folder over it");
	assert_int_equal(run_program("cp", at("xml/.virtx-storage"), at(MARKER)), 0);
	expect_well(true, true);
}

static void
test_mark(void **state)
{
	struct error err = { 0 };
	struct marker marker;
	size_t n;
	int dir;

	put_vm(TEST_VM, IMAGE);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "none of the 1 files"));
	expect_marked(false);
	assert_int_equal(registry_remove(disk_root, HOST, TEST_VM, &err), 0);
	assert_int_equal(rmdir(at("ds")), 0);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), 0);
	assert_int_equal(n, 1);
	dir = open(at("ds"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(marker_read(dir, "ds", &marker, &err), 0);
	close(dir);
	assert_string_equal(marker.uuid, storage.uuid);
	expect_well(true, true);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), 0);
	assert_int_equal(n, 0);
}

static void
find_uuid(const char *wanted, const char *why)
{
	struct error err = { 0 };
	char uuid[37];

	assert_int_equal(folders_find_uuid(&env, uuid, &err), why ? -1 : 0);
	if (!why)
		assert_string_equal(uuid, wanted);
	else if (err.status != 503 || !strstr(err.detail, why))
		fail_msg("no '%s' in '%s'", why, err.detail);
}

/* A registry that has lost its marker is of the storage that its folders are of. */
static void
test_find_uuid(void **state)
{
	struct error err = { 0 };
	size_t n;

	assert_int_equal(folders_mark(&env, &storage, &n, &err), 0);
	/* A new one is not, whatever is mounted beside it. */
	find_uuid("", NULL);
	put_vm(TEST_VM, IMAGE);
	assert_int_equal(unlink(at("xml/.virtx-storage")), 0);
	find_uuid(NULL, "none of the 1 files");
	put_image();
	find_uuid(storage.uuid, NULL);
	assert_int_equal(mkdir(at("nvram"), 0750), 0);
	find_uuid(storage.uuid, NULL);
	write_file(at("nvram/.virtx-storage"), UUID "\n", sizeof(UUID));
	find_uuid(NULL, "of two storages");
	assert_int_equal(unlink(at("nvram/.virtx-storage")), 0);
	write_file(at(MARKER), "", 0);
	find_uuid(NULL, "is damaged");
	assert_int_equal(unlink(at(MARKER)), 0);
	find_uuid("", NULL);
	/* Nor is one begun where the folder is not mounted: it would be another one. */
	swap("ds", "own");
	find_uuid(NULL, "none of the 1 files");
	assert_int_equal(mkdir(at("ds"), 0750), 0);
	find_uuid(NULL, "none of the 1 files");
}

/* The registry is of another device than the root: what is on the root's is the local disk. */
static void
test_local(void **state)
{
	char shared[] = "/dev/shm/virtx-test-XXXXXX";
	struct stat here, there;
	struct error err = { 0 };
	size_t n;

	if (stat(disk_root, &here) < 0 || stat("/dev/shm", &there) < 0 ||
	    here.st_dev == there.st_dev)
		skip();
	assert_non_null(mkdtemp(shared));
	swap("xml", "xml.own");
	assert_int_equal(symlink(shared, at("xml")), 0);
	expect_refused(false, at("ds"), "is not mounted", "the local folder");
	assert_int_equal(folders_check(&env, &storage, false, false, &err), -1);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), -1);
	assert_non_null(strstr(err.detail, "the local folder"));
	expect_marked(false);
	assert_int_equal(rmdir(at("ds")), 0);
	assert_int_equal(folders_mark(&env, &storage, &n, &err), -1);
	assert_int_equal(access(at("ds"), F_OK), -1);
	rmdir(shared);
}

/* With UEFI variables on the storage. */
static void
put_uefi_vm(const char *status)
{
	_free_ char *xml =
	    xasprintf("<domain type='qemu'><name>web</name><uuid>" TEST_VM "</uuid><metadata>"
		      "<o:data-op xmlns:o='virtx-op-VmBoot'><op>VmBoot</op><ts>1</ts><te>2</te>"
		      "<status>%s</status><msg/></o:data-op></metadata><os firmware='efi'>"
		      "<nvram>%s</nvram></os><devices/></domain>",
		status, at("nvram/" TEST_VM "_VARS.fd"));
	struct error err = { 0 };

	assert_int_equal(registry_save(disk_root, HOST, TEST_VM, xml, &err), 0);
}

/* What is beside the registry may be what the folder is mounted on. */
static void
test_nvram_not_mounted(void **state)
{
	struct error err = { 0 };
	size_t n;

	assert_int_equal(folders_mark(&env, &storage, &n, &err), 0);
	assert_int_equal(mkdir(at("nvram"), 0750), 0);
	put_uefi_vm("completed");
	expect_refused(true, at("nvram"), "does not prove", "of 1 files", "has 0", TEST_VM);
	assert_int_equal(access(at("nvram/.virtx-storage"), F_OK), -1);
	/* Nor is it where somebody says that all is mounted; what that says else is as told. */
	assert_int_equal(folders_mark(&env, &storage, &n, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "none of the 1 files"));
	assert_int_equal(access(at("nvram/.virtx-storage"), F_OK), -1);
	assert_int_equal(run_program("cp", at("xml/.virtx-storage"), at("nvram/")), 0);
	expect_well(true, true);
	assert_int_equal(unlink(at("nvram/.virtx-storage")), 0);
	folders_forget(&env);
	/* One that has not run has none yet. */
	put_uefi_vm("failed");
	expect_well(true, true);
	assert_int_equal(unlink(at("nvram/.virtx-storage")), 0);
	folders_forget(&env);
	put_uefi_vm("completed");
	write_file(at("nvram/" TEST_VM "_VARS.fd"), "x", 1);
	expect_well(true, true);
	assert_int_equal(access(at("nvram/.virtx-storage"), F_OK), 0);
}

static void
test_nvram(void **state)
{
	struct error err = { 0 };
	size_t n;

	assert_int_equal(folders_mark(&env, &storage, &n, &err), 0);
	expect_well(true, true);
	assert_int_equal(folders_make_nvram(&env, &err), 0);
	assert_int_equal(access(at("nvram/.virtx-storage"), F_OK), 0);
	assert_int_equal(folders_make_nvram(&env, &err), 0);
	expect_well(true, true);
	swap("nvram", "own");
	expect_refused(true, at("nvram"), "is not mounted", "nothing");
	assert_int_equal(mkdir(at("nvram"), 0750), 0);
	expect_refused(true, at("nvram"), "without its marker");
	/* One that an earlier virtxd has made is beside the registry. */
	folders_forget(&env);
	expect_well(true, true);
	assert_int_equal(access(at("nvram/.virtx-storage"), F_OK), 0);
	/* None is made in what the storage would be mounted on. */
	swap("nvram", "second");
	assert_int_equal(unlink(at("xml/.virtx-storage")), 0);
	assert_int_equal(folders_make_nvram(&env, &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(access(at("nvram"), F_OK), -1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_empty_proves_nothing),
		TEST(test_images_prove),
		TEST(test_some_images_prove_nothing),
		TEST(test_another_folder),
		TEST(test_of_another_storage),
		TEST(test_mark),
		TEST(test_local),
		TEST(test_find_uuid),
		TEST(test_nvram),
		TEST(test_nvram_not_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
