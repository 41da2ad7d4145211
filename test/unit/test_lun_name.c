/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of lun_name.c: this machine's block devices under an invented /sys and udev database. */
#include "disk_root.h"

#include <sys/sysmacros.h>

#include "disk/lun_name.h"
#include "proto/vmdef.h"

#define WWID	"36001405f1e1d00000000000000000001"
#define BY_WWID "/dev/disk/by-id/scsi-" WWID

/* The devices that the tests invent facts about; no driver has this number. */
#define LUN	  makedev(8, 16)
#define PARTITION makedev(8, 17)

static void
make_parents(const char *path)
{
	char *copy = xstrdup(path);

	for (char *slash = copy + strlen(disk_root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(copy, 0755);
		*slash = '/';
	}
	free(copy);
}

static void
put(const char *below, const char *text)
{
	make_parents(at(below));
	write_file(at(below), text, strlen(text));
}

/* A node that nothing is behind, under a path of the test's own. */
static bool
make_node(const char *below, dev_t device)
{
	make_parents(at(below));
	return mknod(at(below), S_IFBLK | 0600, device) == 0;
}

static void
expect(const char *path, const char *by_id, const char *lease, const char *refusal)
{
	char text[PATH_MAX * 2], name[49] = "";
	struct disk disk = { .path = text, .device = DISK_DEVICE_LUN };
	_free_ char *found = NULL;
	struct error err = { 0 };

	snprintf(text, sizeof(text), "%s", path);
	if (by_id) {
		if (lun_identify(disk_root, &disk, &found, name, &err) < 0)
			fail_msg("%s", err.detail);
		assert_string_equal(found, by_id);
		assert_string_equal(name, lease);
	}
	assert_int_equal(lun_check_path(disk_root, &disk, name, &err), -1);
	assert_int_equal(err.status, 422);
	if (!strstr(err.detail, refusal) || !strstr(err.detail, path))
		fail_msg("'%s' is not in '%s'", refusal, err.detail);
}

/* What udev says of a disk, and the name that comes of it. */
static void
test_udev(void **state)
{
	static const struct {
		const char *data, *name, *lease;
	} cases[] = {
		{ "S:disk/by-path/pci-1\nL:0\nE:ID_BUS=scsi\nE:ID_SERIAL=" WWID
		  "\nE:ID_WWN=0x6001405f1e1d0000\n"
		  "E:ID_WWN_WITH_EXTENSION=0x6001405f1e1d00000000000000000001\n",
		    "scsi-" WWID, WWID },
		{ "E:ID_BUS=ata\nE:ID_SERIAL=WDC_1\nE:ID_WWN=0x50014ee2b\n", "wwn-0x50014ee2b",
		    "350014ee2b" },
		{ "E:ID_SERIAL=Model_Serial\nE:ID_WWN=eui.0025385a", "nvme-eui.0025385a",
		    "eui.0025385a" },
		{ "E:ID_SERIAL=disk1\n", "virtio-disk1", "virtio-disk1" },
	};

	if (!make_node("dev/sdb", LUN))
		skip();
	expect("/dev/sdb", NULL, NULL, "this host's udev knows no WWID of it");
	put("run/udev/data/b8:16", "I:123\nE:DM_MULTIPATH_DEVICE_PATH=0\n");
	expect("/dev/sdb", NULL, NULL, "this host's udev knows no WWID of it");
	put("run/udev/data/b8:16", "E:ID_SERIAL=../../x\n");
	expect("/dev/sdb", NULL, NULL, "this host's udev knows no WWID of it");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *by_id = xasprintf("/dev/disk/by-id/%s", cases[i].name);
		_free_ char *refusal = xasprintf("use '%s'", by_id);

		put("run/udev/data/b8:16", cases[i].data);
		expect("/dev/sdb", by_id, cases[i].lease, refusal);
	}
}

/* Multipath's device is the LUN; other maps, and partitions of either, are none. */
static void
test_maps(void **state)
{
	if (!make_node("dev/m", LUN) || !make_node("dev/m1", PARTITION))
		skip();
	put("sys/dev/block/8:16/dm/uuid", "mpath-" WWID "\n");
	expect("/dev/m", "/dev/disk/by-id/dm-uuid-mpath-" WWID, WWID,
	    "use '/dev/disk/by-id/dm-uuid-mpath-" WWID "'");
	put("sys/dev/block/8:16/dm/uuid", "part1-mpath-" WWID "\n");
	expect("/dev/m", NULL, NULL, "is no LUN but a mapped device ('part1-mpath-" WWID "')");
	assert_int_equal(unlink(at("sys/dev/block/8:16/dm/uuid")), 0);
	assert_int_equal(rmdir(at("sys/dev/block/8:16/dm")), 0);

	put("run/udev/data/b8:16", "E:ID_BUS=scsi\nE:ID_SERIAL=" WWID "\n");
	put("run/udev/data/b8:17", "E:ID_BUS=scsi\nE:ID_SERIAL=" WWID "\n");
	put("sys/dev/block/8:16/dev", "8:16\n");
	put("sys/dev/block/8:16/sdb1/partition", "1\n");
	assert_int_equal(symlink("8:16/sdb1", at("sys/dev/block/8:17")), 0);
	expect("/dev/m1", NULL, NULL,
	    "is a partition, which another VM may have with the whole "
	    "LUN: use '" BY_WWID "'");
}

/* All its names under /dev/disk/by-id are taken as long as they are of its WWID, and have one
 * lease.
 */
static void
test_names(void **state)
{
	static const struct {
		const char *path, *lease;
	} cases[] = {
		{ BY_WWID, WWID },
		{ "/dev/disk/by-id/wwn-0x6001405f1e1d00000000000000000001", WWID },
		{ "/dev/disk/by-id/dm-uuid-mpath-" WWID, WWID },
		{ "/dev/mapper/" WWID, WWID },
		{ "/dev/mapper/mpatha", NULL },
		{ "/dev/disk/by-id/scsi-SLIO-ORG_x_1", NULL },
		{ "/dev/disk/by-path/" WWID, NULL },
		{ "/dev/" WWID, NULL },
	};

	put("run/udev/data/b8:16", "E:ID_BUS=scsi\nE:ID_SERIAL=" WWID "\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disk disk = { .path = (char *)cases[i].path, .device = DISK_DEVICE_LUN };
		struct error err = { 0 };
		char name[49] = "";

		if (!make_node(cases[i].path + 1, LUN))
			skip();
		if (!cases[i].lease) {
			expect(cases[i].path, BY_WWID, WWID, "use '" BY_WWID "'");
			continue;
		}
		if (lun_check_path(disk_root, &disk, name, &err) < 0)
			fail_msg("%s", err.detail);
		assert_string_equal(name, cases[i].lease);
		assert_int_equal(disk_resource_name(&disk, "/vms", name, &err), 0);
		assert_string_equal(name, cases[i].lease);
	}
}

/* Whatever name a definition of before has, its lease is found. */
static void
test_leases(void **state)
{
	static const char *const wanted[] = { WWID, "mpatha", "SLIO-ORG_x_1", "dm-name-mpatha" };
	struct disk disk = { .path = (char[]){ "/dev/all" }, .device = DISK_DEVICE_LUN };
	_free_ char(*names)[49] = NULL;
	struct error err = { 0 };
	size_t n = 0;

	if (!make_node("dev/all", LUN))
		skip();
	put("sys/dev/block/8:16/dm/uuid", "mpath-" WWID "\n");
	put("sys/dev/block/8:16/dm/name", "mpatha\n");
	put("run/udev/data/b8:16", "S:disk/by-id/dm-uuid-mpath-" WWID "\nS:disk/by-id/scsi-" WWID
				   "\nS:disk/by-path/x\nS:disk/by-id/scsi-SLIO-ORG_x_1\n"
				   "S:disk/by-id/dm-name-mpatha\nE:ID_SERIAL=" WWID "\n");
	if (lun_leases(disk_root, &disk, &names, &n, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(n, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(names[i], wanted[i]);
}

static void
test_kinds(void **state)
{
	char name[49];
	struct disk disk = { .path = (char[]){ "/dev/null" }, .device = DISK_DEVICE_LUN };
	struct error err = { 0 };

	assert_int_equal(lun_check_path(LUN_HOST, &disk, name, &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "is no block device but a character device"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udev),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_leases),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
