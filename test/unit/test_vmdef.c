/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/ha.h"
#include "proto/json.h"
#include "proto/vmdef.h"

/* A Vmdef that passes, to spoil. */
static void
good(struct vmdef *def)
{
	static const char text[] =
	    "{\"name\":\"web\",\"cpudef\":{\"model\":\"maximum\",\"sockets\":1,\"cores\":2,"
	    "\"threads\":1},\"memory\":{\"total\":256},"
	    "\"osdisk\":{\"path\":\"/vms/ds/web.qcow2\",\"man\":1,\"prov\":1,\"size\":64},"
	    "\"disks\":[{\"path\":\"/vms/ds/a.raw\"},"
	    "{\"path\":\"/vms/ds/iso/b.iso\",\"device\":1,\"bus\":2},"
	    "{\"path\":\"/dev/disk/by-id/wwn-0x6001\",\"device\":2,\"bus\":1,\"man\":1}],"
	    "\"nets\":[{\"name\":\"br0\",\"nettype\":1,\"mac\":\"52:54:00:aB:cD:ef\"},"
	    "{\"name\":\"default\"}],\"vlanid\":4094,\"genid\":\"auto\","
	    "\"custom\":[{\"name\":\"a\",\"value\":\"b_1\"}]}";
	struct error err = { 0 };

	*def = (struct vmdef){ 0 };
	if (json_decode(&vmdef_model, text, strlen(text), def, &err) < 0)
		fail_msg("%s", err.detail);
}

static void
expect(struct vmdef *def, const char *detail)
{
	struct error err = { 0 };
	int rc = vmdef_check(def, "/vms", "vmdef", &err);

	if (!detail) {
		assert_string_equal(err.detail, "");
		assert_int_equal(rc, 0);
	} else {
		assert_string_equal(err.detail, detail);
		assert_int_equal(rc, -1);
		assert_int_equal(err.status, 400);
	}
	model_clear(&vmdef_model, def);
}

/* Checks a good Vmdef in which this expression on def was done. */
#define CHECK(spoil, detail)          \
	do {                          \
		struct vmdef def;     \
                                      \
		good(&def);           \
		spoil;                \
		expect(&def, detail); \
	} while (0)

#define DISK(path_, device_, bus_, man_, prov_, size_) \
	({                                             \
		struct disk *disk_ = &def.disks[0];    \
                                                       \
		str_set(&disk_->path, path_);          \
		disk_->device = DISK_DEVICE_##device_; \
		disk_->bus = DISK_BUS_##bus_;          \
		disk_->man = DISK_MAN_MODE_##man_;     \
		disk_->prov = DISK_PROV_MODE_##prov_;  \
		disk_->size = size_;                   \
	})

#define NAME_32 "01234567890123456789012345678901"

static void
test_good(void **state)
{
	CHECK((void)0, NULL);
}

static void
test_names(void **state)
{
	CHECK(str_set(&def.name, NULL), "vmdef.name: must not be empty");
	CHECK(str_set(&def.name, NAME_32), NULL);
	CHECK(str_set(&def.name, NAME_32 "x"), "vmdef.name: 33 bytes are more than 32");
	CHECK(str_set(&def.name, "größe-π"), NULL);
	CHECK(str_set(&def.name, "a\nb"), "vmdef.name: a control character (0x0a) at byte 1");
	CHECK(str_set(&def.name, "a\x7f"), "vmdef.name: a control character (0x7f) at byte 1");
	CHECK(str_set(&def.name, "ab\xc2\x85"), "vmdef.name: a control character (0x85) at byte 2");
	CHECK(str_set(&def.name, "\xef\xbf\xbf"),
	    "vmdef.name: U+FFFF, which is no character, at byte 0");
	CHECK(str_set(&def.name, "a\xff"), "vmdef.name: no UTF-8 at byte 1");
	CHECK(str_set(&def.name, " "), "vmdef.name: there are only spaces in it");
	CHECK(str_set(&def.name, " \u00a0\u3000"), "vmdef.name: there are only spaces in it");
	CHECK(str_set(&def.name, "a b"), NULL);
	CHECK(str_set(&def.name, " web"), "vmdef.name: ' web' begins or ends with a space");
	CHECK(
	    str_set(&def.name, "web\u00a0"), "vmdef.name: 'web\u00a0' begins or ends with a space");
	CHECK(str_set(&def.name, "\u0301"),
	    "vmdef.name: it begins with a combining mark (U+0301), which needs a character before "
	    "it");
	CHECK(str_set(&def.name, "\u20dd\u0301"),
	    "vmdef.name: it begins with a combining mark (U+20DD), which needs a character before "
	    "it");
	CHECK(str_set(&def.name, "e\u0301"), NULL);
	CHECK(str_set(&def.name, "."), "vmdef.name: '.' is no name");
	CHECK(str_set(&def.name, ".."), "vmdef.name: '..' is no name");
	CHECK(str_set(&def.name, "..."), NULL);
	CHECK(str_set(&def.name, "we\u200bb"),
	    "vmdef.name: an invisible character (U+200B) at byte 2");
	CHECK(str_set(&def.name, "\u202ebew"),
	    "vmdef.name: an invisible character (U+202E) at byte 0");
	CHECK(str_set(&def.name, "a\U000e0041"),
	    "vmdef.name: an invisible character (U+E0041) at byte 1");
	CHECK(
	    str_set(&def.name, "\ufeff"), "vmdef.name: an invisible character (U+FEFF) at byte 0");
	CHECK(str_set(&def.disks[1].path, "/vms/ds/a\u2066.iso"),
	    "vmdef.disks[1].path: an invisible character (U+2066) at byte 9");
	CHECK(str_set(&def.cpudef.model, " "), "vmdef.cpudef.model: there are only spaces in it");
	CHECK(str_set(&def.disks[1].path, "/vms/ds/\t.iso"),
	    "vmdef.disks[1].path: a control character (0x09) at byte 8");
	CHECK(str_set(&def.custom[0].value, "\x01"),
	    "vmdef.custom[0].value: a control character (0x01) at byte 0");
	CHECK(str_set(&def.nets[1].name, "\x1b"),
	    "vmdef.nets[1].name: a control character (0x1b) at byte 0");
}

static void
test_cpu_and_memory(void **state)
{
	CHECK(str_set(&def.cpudef.model, ""), "vmdef.cpudef.model: must not be empty");
	CHECK(str_set(&def.cpudef.model, NAME_32 "x"),
	    "vmdef.cpudef.model: 33 bytes are more than 32");
	CHECK(def.cpudef.sockets = 0, "vmdef.cpudef.sockets: 0 is out of range 1..32767");
	CHECK(def.cpudef.cores = -1, "vmdef.cpudef.cores: -1 is out of range 1..32767");
	CHECK(def.cpudef.threads = 0, "vmdef.cpudef.threads: 0 must be 1");
	CHECK(def.cpudef.threads = 2, "vmdef.cpudef.threads: 2 must be 1");
	CHECK((def.cpudef.sockets = 32767, def.cpudef.cores = 32767),
	    "vmdef.cpudef: 1073676289 virtual CPUs are more than 32767");
	CHECK(def.memory.total = 0, "vmdef.memory.total: 0 is out of range 1..2147483647");
	CHECK(def.memory.total = -1, "vmdef.memory.total: -1 is out of range 1..2147483647");
}

static void
test_other_scalars(void **state)
{
	CHECK(def.vlanid = -1, "vmdef.vlanid: -1 is out of range 0..4094");
	CHECK(def.vlanid = 4095, "vmdef.vlanid: 4095 is out of range 0..4094");
	CHECK(str_set(&def.genid, ""), NULL);
	CHECK(str_set(&def.genid, "5A1F3C7E-9B52-4D0A-8F3E-0C1D2E3F4A5B"), NULL);
	CHECK(str_set(&def.genid, "Auto"),
	    "vmdef.genid: 'Auto' is neither empty nor 'auto' nor a UUID of 36 characters");
	CHECK(def.firmware = (enum firmware_type)2, "vmdef.firmware: 2 is out of range 0..1");
	CHECK(def.disks[2].bus = (enum disk_bus)9, "vmdef.disks[2].bus: 9 is out of range 0..3");
	CHECK(def.nets[0].model = (enum net_model) - 1,
	    "vmdef.nets[0].model: 4294967295 is out of range 0..2");
}

static void
test_paths(void **state)
{
	static const char *const unclean[] = { "vms/ds/a.raw", "./a.raw", "/vms/ds//a.raw",
		"//vms/ds/a.raw", "/vms/ds/./a.raw", "/vms/ds/../ds/a.raw", "/vms/ds/a.raw/",
		"/vms/ds/..", "/", "/vms/ds/a.raw/." };
	_free_ char *big = xcalloc(1, PATH_MAX + 20);

	for (size_t i = 0; i < ARRAY_SIZE(unclean); i++) {
		_free_ char *detail = xasprintf("vmdef.disks[0].path: '%s' is no absolute path "
						"without '//', '.', '..' or a slash at the end",
		    unclean[i]);

		CHECK(str_set(&def.disks[0].path, unclean[i]), detail);
	}
	CHECK(str_set(&def.osdisk.path, ""), "vmdef.osdisk.path: must not be empty");
	CHECK(str_set(&def.disks[1].path, NULL), "vmdef.disks[1].path: must not be empty");
	CHECK(str_set(&def.osdisk.path, "/etc/passwd.raw"),
	    "vmdef.osdisk.path: '/etc/passwd.raw' is neither under /vms/ds/ nor under /dev/");
	CHECK(str_set(&def.osdisk.path, "/vms/dsx/a.raw"),
	    "vmdef.osdisk.path: '/vms/dsx/a.raw' is neither under /vms/ds/ nor under /dev/");
	CHECK(str_set(&def.osdisk.path, "/vms/ds"),
	    "vmdef.osdisk.path: '/vms/ds' is neither under /vms/ds/ nor under /dev/");
	CHECK(str_set(&def.osdisk.path, "/vms/ds/a.vmdk"),
	    "vmdef.osdisk.path: '/vms/ds/a.vmdk' ends neither in .qcow2 nor .raw nor .iso");
	CHECK(str_set(&def.osdisk.path, "/vms/ds/ci/u/seed.iso"),
	    "vmdef.osdisk.path: '/vms/ds/ci/u/seed.iso' is under /vms/ds/ci/, which is kept for "
	    "cloud-init");
	CHECK(str_set(&def.osdisk.path, "/vms/ds/.hid..den/a b.qcow2"), NULL);
	CHECK(str_set(&def.disks[0].path, "/vms/ds/web.qcow2"),
	    "vmdef.disks[0].path: '/vms/ds/web.qcow2' is also vmdef.osdisk.path");
	CHECK(str_set(&def.disks[1].path, "/vms/ds/a.raw"),
	    "vmdef.disks[1].path: '/vms/ds/a.raw' is also vmdef.disks[0].path");
	CHECK((str_set(&def.disks[0].path, "/dev/disk/by-id/scsi-36001"),
		  def.disks[0].device = DISK_DEVICE_LUN, def.disks[0].bus = DISK_BUS_VIRTIO_SCSI),
	    "vmdef.disks[2].path: '/dev/disk/by-id/wwn-0x6001' is the LUN of vmdef.disks[0].path, "
	    "'/dev/disk/by-id/scsi-36001'");

	memset(big, 'a', PATH_MAX + 10);
	memcpy(big, "/vms/ds/", 8);
	CHECK(str_set(&def.disks[0].path, big), "vmdef.disks[0].path: longer than 4095 bytes");
	for (size_t len = 255; len <= 256; len++) {
		_free_ char *path = xasprintf("/vms/ds/x/%.*s.qcow2", (int)len - 6, big + 8);
		_free_ char *above = xasprintf("/vms/ds/%.*s/x.qcow2", (int)len, big + 8);

		CHECK(str_set(&def.disks[0].path, path),
		    len == 255 ? NULL
			       : "vmdef.disks[0].path: a component of 256 bytes is longer than the "
				 "255 that a file's name may have");
		CHECK(str_set(&def.disks[0].path, above),
		    len == 255 ? NULL
			       : "vmdef.disks[0].path: a component of 256 bytes is longer than the "
				 "255 that a file's name may have");
	}
}

static void
test_another_root(void **state)
{
	struct error err = { 0 };
	struct vmdef def;

	good(&def);
	assert_int_equal(vmdef_check(&def, "/srv/x", "def", &err), -1);
	assert_string_equal(err.detail,
	    "def.osdisk.path: '/vms/ds/web.qcow2' is neither under /srv/x/ds/ nor under /dev/");
	model_clear(&vmdef_model, &def);
}

static void
test_devices(void **state)
{
	CHECK(DISK("/dev/sdb", DISK, VIRTIO_BLK, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].device: only a lun may be under /dev/, and '/dev/sdb' is a disk");
	CHECK(DISK("/dev/sr0", CDROM, SATA, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].device: only a lun may be under /dev/, and '/dev/sr0' is a cdrom");
	CHECK(DISK("/dev/sdb", LUN, VIRTIO_SCSI, UNMANAGED, NONE, 0), NULL);
	CHECK(DISK("/dev/sdb", LUN, SCSI, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].bus: a lun must be on virtio-scsi, not on scsi");
	CHECK(DISK("/vms/ds/x.raw", LUN, VIRTIO_SCSI, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].path: '/vms/ds/x.raw' is a lun, which must be under /dev/");
	CHECK(DISK("/dev/../etc/x", LUN, VIRTIO_SCSI, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].path: '/dev/../etc/x' is no absolute path without '//', '.', '..' or "
	    "a slash at the end");
	CHECK(DISK("/vms/ds/x.iso", CDROM, VIRTIO_BLK, UNMANAGED, NONE, 0),
	    "vmdef.disks[0].bus: a cdrom must be on virtio-scsi, sata or scsi, not on virtio-blk");
	CHECK(DISK("/vms/ds/x.iso", CDROM, SCSI, MANAGED, NONE, 0), NULL);
}

static void
test_provisioning(void **state)
{
	CHECK(DISK("/vms/ds/x.raw", DISK, SATA, MANAGED, THICK, 1), NULL);
	CHECK(DISK("/vms/ds/x.raw", DISK, SATA, UNMANAGED, NONE, -1),
	    "vmdef.disks[0].size: -1 is out of range 0..2147483647");
	CHECK(DISK("/vms/ds/x.raw", DISK, SATA, UNMANAGED, THIN, 1), NULL);
	CHECK(DISK("/vms/ds/x.raw", DISK, SATA, MANAGED, THICK, 0),
	    "vmdef.disks[0].size: a disk that is provisioned (thick) needs a size");
	CHECK(DISK("/vms/ds/x.iso", DISK, SATA, MANAGED, THIN, 0), NULL);
	CHECK(DISK("/dev/disk/by-id/x", LUN, VIRTIO_SCSI, MANAGED, THICK, 1),
	    "vmdef.disks[0].prov: a lun cannot be provisioned thick");
	CHECK(DISK("/dev/disk/by-id/x", LUN, VIRTIO_SCSI, MANAGED, THIN, 1), NULL);
	CHECK(DISK("/dev/disk/by-id/scsi-", LUN, VIRTIO_SCSI, MANAGED, NONE, 0),
	    "vmdef.disks[0].path: '/dev/disk/by-id/scsi-' gives its lease no name");
}

/* GET shows the provisioning that was found, also of what is never made. */
static void
test_what_get_shows(void **state)
{
	struct vmdef old, def;
	struct error err = { 0 };

	good(&old);
	old.disks[0].prov = DISK_PROV_MODE_THIN;
	old.disks[1].prov = DISK_PROV_MODE_THICK;
	old.disks[1].man = DISK_MAN_MODE_MANAGED;
	old.disks[2].prov = DISK_PROV_MODE_THIN; /* a lun of no size that is kept */
	str_set(&old.name, " web");
	model_copy(&vmdef_model, &def, &old);
	assert_int_equal(vmdef_check_update(&def, &old, "/vms", "vmdef", &err), 0);
	assert_int_equal(def.disks[0].prov, DISK_PROV_MODE_NONE);
	assert_int_equal(def.disks[1].prov, DISK_PROV_MODE_NONE);
	assert_int_equal(def.disks[2].prov, DISK_PROV_MODE_THIN);
	assert_int_equal(vmdef_check(&def, "/vms", "vmdef", &err), -1);
	assert_string_equal(err.detail, "vmdef.name: ' web' begins or ends with a space");
	str_set(&def.name, "web ");
	assert_int_equal(vmdef_check_update(&def, &old, "/vms", "vmdef", &err), -1);
	str_set(&def.name, "web");
	assert_int_equal(vmdef_check(&def, "/vms", "vmdef", &err), -1);
	assert_string_equal(
	    err.detail, "vmdef.disks[2].size: a disk that is provisioned (thin) needs a size");
	def.disks[2].size = 1;
	assert_int_equal(vmdef_check(&def, "/vms", "vmdef", &err), 0);
	model_clear(&vmdef_model, &old);
	model_clear(&vmdef_model, &def);
}

/* Adds n disks. */
static void
add_disks(struct vmdef *def, int n, enum disk_man_mode man)
{
	for (int i = 0; i < n; i++) {
		struct disk *disk = model_append(&def->disks, &def->n_disks);

		disk->path = xasprintf("/vms/ds/more%d.raw", i);
		disk->man = man;
	}
}

static void
test_counts(void **state)
{
	CHECK(add_disks(&def, 17, DISK_MAN_MODE_UNMANAGED), NULL);
	CHECK(
	    add_disks(&def, 18, DISK_MAN_MODE_UNMANAGED), "vmdef.disks: 21 disks are more than 20");
	CHECK(add_disks(&def, 4, DISK_MAN_MODE_MANAGED), NULL);
	CHECK(add_disks(&def, 5, DISK_MAN_MODE_MANAGED),
	    "vmdef.disks: 7 managed disks, the osdisk counted, are more than 6: each takes a "
	    "lease, the VM has one of its own, and libvirt allows 7 to a VM");
	CHECK(
	    {
		    for (int i = 0; i < 6; i++)
			    model_append(&def.nets, &def.n_nets)->name = xstrdup("n");
	    },
	    NULL);
	CHECK(
	    {
		    for (int i = 0; i < 7; i++)
			    model_append(&def.nets, &def.n_nets)->name = xstrdup("n");
	    },
	    "vmdef.nets: 9 networks are more than 8");
}

static void
test_nets(void **state)
{
	static const char *const bad[] = { "52:54:00:12:34:5", "52:54:00:12:34:566",
		"53:54:00:12:34:56", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "52-54-00-12-34-56",
		"52:54:00:12:34:5g", "525:4:00:12:34:56", ":::::::::::::::::" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_free_ char *detail = xasprintf("vmdef.nets[1].mac: '%s' is no unicast MAC address "
						"of the form 52:54:00:12:34:56",
		    bad[i]);

		CHECK(str_set(&def.nets[1].mac, bad[i]), detail);
	}
	CHECK(str_set(&def.nets[1].mac, "52:54:00:Ab:Cd:Ef"),
	    "vmdef.nets[1].mac: '52:54:00:Ab:Cd:Ef' is also vmdef.nets[0].mac");
	CHECK(str_set(&def.nets[0].mac, ""), NULL);
	CHECK(str_set(&def.nets[0].name, "\u2003 "),
	    "vmdef.nets[0].name: there are only spaces in it");
	CHECK(str_set(&def.nets[0].name, ""), "vmdef.nets[0].name: must not be empty");
	CHECK(str_set(&def.nets[0].name, NAME_32), NULL);
	CHECK(str_set(&def.nets[0].name, NAME_32 "x"),
	    "vmdef.nets[0].name: 33 bytes are more than 32");
}

/* Who brings the VM back. */
static void
test_ha(void **state)
{
#define FIELD_IS(name_, value_) \
	(str_set(&def.custom[0].name, name_), str_set(&def.custom[0].value, value_))
	CHECK(FIELD_IS("ha", "restart"), NULL);
	CHECK(FIELD_IS("ha", "none"), NULL);
	CHECK(FIELD_IS("ha", "always"),
	    "vmdef.custom[0].value: the field 'ha' is 'restart' or 'none', not 'always'");
	CHECK(FIELD_IS("ha", ""),
	    "vmdef.custom[0].value: the field 'ha' is 'restart' or 'none', not ''");
	CHECK(FIELD_IS("HA", "always"), NULL);
	CHECK(FIELD_IS("ha_order", "1"), NULL);
	CHECK(FIELD_IS("ha_order", "9"), NULL);
	CHECK(FIELD_IS("ha_order", "0"),
	    "vmdef.custom[0].value: the field 'ha_order' is a number from 1 to 9, not '0'");
	CHECK(FIELD_IS("ha_order", "10"),
	    "vmdef.custom[0].value: the field 'ha_order' is a number from 1 to 9, not '10'");
}

static void
test_what_ha_says(void **state)
{
	struct error err = { 0 };
	struct vmdef def, old;

	good(&def);
	assert_true(ha_restarts(&def, true));
	assert_false(ha_restarts(&def, false));
	assert_int_equal(ha_order(&def), 5);
	FIELD_IS("ha", "restart");
	assert_true(ha_restarts(&def, false));
	FIELD_IS("ha", "none");
	assert_false(ha_restarts(&def, true));
	FIELD_IS("ha_order", "2");
	assert_int_equal(ha_order(&def), 2);
	/* Somebody's own use of it from before. */
	FIELD_IS("ha", "yes");
	assert_true(ha_restarts(&def, true));
	assert_false(ha_restarts(&def, false));
	good(&old);
	assert_int_equal(vmdef_check_update(&def, &old, "/vms", "vmdef", &err), -1);
	str_set(&old.custom[0].name, "ha");
	str_set(&old.custom[0].value, "yes");
	assert_int_equal(vmdef_check_update(&def, &old, "/vms", "vmdef", &err), 0);
	model_clear(&vmdef_model, &def);
	model_clear(&vmdef_model, &old);
}

static void
test_custom(void **state)
{
	CHECK(str_set(&def.custom[0].name, "a-b"),
	    "vmdef.custom[0].name: 'a-b' has other characters than A-Z, a-z, 0-9 and _");
	CHECK(str_set(&def.custom[0].value, "ä"),
	    "vmdef.custom[0].value: 'ä' has other characters than A-Z, a-z, 0-9 and _");
	CHECK(str_set(&def.custom[0].value, ""), NULL);
	for (size_t len = 256; len <= 257; len++) {
		_free_ char *text = xcalloc(len + 1, 1);

		memset(text, 'x', len);
		CHECK(str_set(&def.custom[0].name, text),
		    len == 256 ? NULL : "vmdef.custom[0].name: 257 bytes are more than 256");
		CHECK(str_set(&def.custom[0].value, text),
		    len == 256 ? NULL : "vmdef.custom[0].value: 257 bytes are more than 256");
	}
	for (size_t n = 32; n <= 33; n++) {
		CHECK(
		    {
			    while (def.n_custom < n)
				    model_append(&def.custom, &def.n_custom)->name = xstrdup("n");
		    },
		    n == 32 ? NULL : "vmdef.custom: 33 fields are more than 32");
	}
}

static void
test_nameless_custom_fields_are_dropped(void **state)
{
	struct error err = { 0 };
	struct vmdef def;

	good(&def);
	model_append(&def.custom, &def.n_custom)->value = xstrdup("nameless");
	model_append(&def.custom, &def.n_custom)->name = xstrdup("last");
	assert_int_equal(vmdef_check(&def, "/vms", "vmdef", &err), 0);
	assert_int_equal(def.n_custom, 2);
	assert_string_equal(def.custom[0].name, "a");
	assert_string_equal(def.custom[1].name, "last");
	model_clear(&vmdef_model, &def);
}

static void
test_small_questions(void **state)
{
	struct vmdef def;

	good(&def);
	def.cpudef.sockets = 3;
	assert_int_equal(vmdef_vcpus(&def), 6);
	assert_int_equal(vmdef_leases(&def), 2);
	assert_ptr_equal(vmdef_disk(&def, 0), &def.osdisk);
	assert_ptr_equal(vmdef_disk(&def, 3), &def.disks[2]);
	assert_null(vmdef_disk(&def, 4));
	assert_int_equal(vmdef_disk_format("/vms/ds/a.qcow2"), DISK_FORMAT_QCOW2);
	assert_int_equal(vmdef_disk_format("/vms/ds/a.raw"), DISK_FORMAT_RAW);
	assert_int_equal(vmdef_disk_format("/vms/ds/a.iso"), DISK_FORMAT_RAW);
	assert_int_equal(vmdef_disk_format("/dev/sdb"), DISK_FORMAT_RAW);
	assert_int_equal(vmdef_disk_format("/vms/ds/a.QCOW2"), DISK_FORMAT_INVALID);
	model_clear(&vmdef_model, &def);
}

static void
test_shutdown_options(void **state)
{
	struct vm_shutdown_options options = { 0 };
	struct error err = { 0 };

	for (options.force = 0; options.force <= 2; options.force++)
		assert_int_equal(vm_shutdown_options_check(&options, &err), 0);
	assert_int_equal(vm_shutdown_options_check(&options, &err), -1);
	assert_int_equal(err.status, 400);
	assert_string_equal(
	    err.detail, "force: 3 is out of range 0..2 (0 ACPI, 1 SIGTERM, 2 SIGKILL)");
	options.force = -1;
	assert_int_equal(vm_shutdown_options_check(&options, &err), -1);
}

static void
expect_boot(const char *text, const char *detail)
{
	struct vm_boot_options options = { 0 };
	struct error err = { 0 };

	assert_int_equal(
	    json_decode(&vm_boot_options_model, text, strlen(text), &options, &err), 0);
	assert_int_equal(vm_boot_options_check(&options, &err), *detail ? -1 : 0);
	assert_string_equal(err.detail, detail);
	model_clear(&vm_boot_options_model, &options);
}

static void
test_boot_options(void **state)
{
	struct vm_boot_options options = { 0 };
	struct error err = { 0 };
	struct cloud_init_option *option;

	expect_boot("{}", "");
	expect_boot("{\"cloud_init\":[{\"name\":\"ci-userdata\",\"value\":\"#cloud-config\"},"
		    "{\"name\":\"ci-metadata\"},{\"name\":\"ci-networkconfig\"}]}",
	    "");
	expect_boot("{\"cloud_init\":[{\"name\":\"ci-metadata\"}]}",
	    "cloud_init: needs ci-userdata or ci-networkconfig, or both");
	expect_boot("{\"cloud_init\":[{\"name\":\"ci-userdata\"},{\"name\":\"user-data\"}]}",
	    "cloud_init[1].name: 'user-data' is not ci-userdata, ci-metadata or ci-networkconfig");
	expect_boot("{\"cloud_init\":[{}]}",
	    "cloud_init[0].name: '' is not ci-userdata, ci-metadata or ci-networkconfig");
	expect_boot("{\"cloud_init\":[{\"name\":\"ci-userdata\"},{\"name\":\"ci-userdata\"}]}",
	    "cloud_init[1].name: 'ci-userdata' comes twice");

	option = model_append(&options.cloud_init, &options.n_cloud_init);
	option->name = xstrdup("ci-userdata");
	option->value = xcalloc(1, 256 * 1024 + 2);
	memset(option->value, 'a', 256 * 1024);
	assert_int_equal(vm_boot_options_check(&options, &err), 0);
	option->value[256 * 1024] = 'a';
	assert_int_equal(vm_boot_options_check(&options, &err), -1);
	assert_string_equal(err.detail, "cloud_init[0].value: longer than 262144 bytes");
	model_clear(&vm_boot_options_model, &options);
}

static void
expect_name(const char *path, enum disk_device device, const char *root, const char *name)
{
	struct disk disk = { .device = device, .path = xstrdup(path) };
	struct error err = { 0 };
	char out[49];

	if (name) {
		assert_int_equal(disk_resource_name(&disk, root, out, &err), 0);
		assert_string_equal(out, name);
	} else {
		assert_int_equal(disk_resource_name(&disk, root, out, &err), -1);
		assert_int_equal(err.status, 400);
	}
	free(disk.path);
}

static void
test_resource_names(void **state)
{
	/* printf %s a.qcow2 | md5sum */
	expect_name(
	    "/vms/ds/a.qcow2", DISK_DEVICE_DISK, "/vms", "bca1816de25b206763ad8476733eef04");
	expect_name("/srv/virtx/ds/a.qcow2", DISK_DEVICE_DISK, "/srv/virtx",
	    "bca1816de25b206763ad8476733eef04");
	expect_name(
	    "/vms/ds/sub/b.iso", DISK_DEVICE_CDROM, "/vms", "519aa489a3fc7044c8dad89041d2a7ed");
	expect_name("/dev/disk/by-id/wwn-0x6001405d594364bf2bb455eaceb80934", DISK_DEVICE_LUN,
	    "/vms", "36001405d594364bf2bb455eaceb80934");
	expect_name("/dev/disk/by-id/scsi-36001405d594364bf2bb455eaceb80934", DISK_DEVICE_LUN,
	    "/vms", "36001405d594364bf2bb455eaceb80934");
	expect_name("/dev/disk/by-id/dm-uuid-mpath-36001405d594364bf2bb455eaceb80934",
	    DISK_DEVICE_LUN, "/vms", "36001405d594364bf2bb455eaceb80934");
	expect_name("/dev/disk/by-id/nvme-eui.0025385a", DISK_DEVICE_LUN, "/vms", "eui.0025385a");
	expect_name("/dev/disk/by-id/scsi-wwn-0x6001", DISK_DEVICE_LUN, "/vms", "wwn-0x6001");
	expect_name("/dev/mapper/mpatha", DISK_DEVICE_LUN, "/vms", "mpatha");
	expect_name("/dev/disk/by-id/nvme-", DISK_DEVICE_LUN, "/vms", NULL);
	expect_name("/dev/disk/by-id/scsi-..", DISK_DEVICE_LUN, "/vms", NULL);
	expect_name("/dev/__VIRTX__DISKS__", DISK_DEVICE_LUN, "/vms", NULL);
	expect_name("/dev/disk/by-id/scsi-0123456789012345678901234567890123456789abcdefgh",
	    DISK_DEVICE_LUN, "/vms", "0123456789012345678901234567890123456789abcdefgh");
	expect_name("/dev/disk/by-id/scsi-0123456789012345678901234567890123456789abcdefghi",
	    DISK_DEVICE_LUN, "/vms", NULL);
	expect_name("/dev/disk/by-id/wwn-0x0123456789012345678901234567890123456789abcdefgh",
	    DISK_DEVICE_LUN, "/vms", NULL);
}

static void
test_examples(void **state)
{
	const char *root = getenv("VIRTX_SOURCE_ROOT");
	_free_ char *pattern = xasprintf("%s/schemas/examples/*.json", root ? root : ".");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 6);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		_close_ int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		_buffer_ struct buffer text = { 0 };
		struct error err = { 0 };
		struct vmdef def = { 0 };

		assert_true(fd >= 0);
		assert_int_equal(read_all(fd, &text, 1 << 20), 0);
		if (json_decode(&vmdef_model, text.data, text.len, &def, &err) < 0 ||
		    vmdef_check(&def, "/vms", "vmdef", &err) < 0)
			fail_msg("%s: %s", found.gl_pathv[i], err.detail);
		model_clear(&vmdef_model, &def);
	}
	globfree(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cpu_and_memory),
		cmocka_unit_test(test_other_scalars),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_another_root),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_provisioning),
		cmocka_unit_test(test_what_get_shows),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_nets),
		cmocka_unit_test(test_custom),
		cmocka_unit_test(test_ha),
		cmocka_unit_test(test_what_ha_says),
		cmocka_unit_test(test_nameless_custom_fields_are_dropped),
		cmocka_unit_test(test_small_questions),
		cmocka_unit_test(test_shutdown_options),
		cmocka_unit_test(test_boot_options),
		cmocka_unit_test(test_resource_names),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
