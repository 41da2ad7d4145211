/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of image_inspect.c, with the real qemu-img. */
#include <endian.h>

#include "images.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inspect_raw),
		cmocka_unit_test(test_inspect_qcow2),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_broken_headers),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_not_whole),
		cmocka_unit_test(test_claim_raw),
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_unused_while_inspected),
	};

	return cmocka_run_group_tests(tests, disk_root_setup, disk_root_teardown);
}
