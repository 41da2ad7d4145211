/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/domain_xml.h"
#include "golden.h"
#include "proto/json.h"
#include "random_vmdef.h"

#define UUID "a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"

static const struct domain_env x86 = { .root = "/vms", .arch = "x86_64", .kvm = true };
static const struct domain_env x86_qemu = { .root = "/vms", .arch = "x86_64", .kvm = false };
static const struct domain_env arm = { .root = "/vms", .arch = "aarch64", .kvm = true };

static const struct golden {
	const char *name;
	const struct domain_env *env;
} goldens[] = {
	{ "aarch64", &arm },
	{ "characters", &x86 },
	{ "disks-lun", &x86 },
	{ "disks-mixed", &x86 },
	{ "disks-sata", &x86 },
	{ "disks-scsi", &x86 },
	{ "disks-virtio-blk", &x86 },
	{ "disks-virtio-scsi", &x86 },
	{ "genid", &x86_qemu },
	{ "machine", &x86 },
	{ "minimal-bios", &x86_qemu },
	{ "nets", &x86 },
	{ "what-libvirt-drops", &x86 },
};

static void
check(struct vmdef *def)
{
	struct error err = { 0 };

	if (vmdef_check(def, "/vms", "vmdef", &err) < 0)
		fail_msg("'%s': %s", def->name, err.detail);
}

static char *
build(const struct vmdef *def, const struct domain_env *env)
{
	struct error err = { 0 };
	char *xml = NULL;

	if (domain_xml_build(def, UUID, env, &xml, &err) < 0)
		fail_msg("'%s': %s", def->name, err.detail);
	return xml;
}

/* Reads our own XML and compares; clears def. */
static void
expect_back(struct vmdef *def, const char *xml, const struct domain_env *env)
{
	struct domain_info info = { 0 };
	struct vmdef expected;
	struct error err = { 0 };

	if (domain_xml_read(xml, env->root, &info, &err) < 0)
		fail_msg("'%s': %s", def->name, err.detail);
	if (info.foreign)
		fail_msg("'%s': %s", def->name, info.foreign_why);
	assert_string_equal(info.uuid, UUID);
	assert_string_equal(info.type, env->kvm ? "kvm" : "qemu");
	assert_null(info.cloud_init);
	assert_int_equal(info.oplog.n_items, 0);
	vmdef_expect(def, &info.def, &expected);
	if (!model_equal(&vmdef_model, &expected, &info.def)) {
		_free_ char *got = json_encode(&vmdef_model, &info.def, NULL);
		_free_ char *sent = json_encode(&vmdef_model, &expected, NULL);

		assert_string_equal(got, sent);
	}
	model_clear(&vmdef_model, &expected);
	domain_info_clear(&info);
	model_clear(&vmdef_model, def);
}

static void
test_golden(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		_free_ char *json_name = xasprintf("domain/%s.json", goldens[i].name);
		_free_ char *xml_name = xasprintf("domain/%s.xml", goldens[i].name);
		_free_ char *json = golden_read(json_name);
		struct error err = { 0 };
		struct vmdef def = { 0 };
		_free_ char *xml = NULL;

		if (json_decode(&vmdef_model, json, strlen(json), &def, &err) < 0)
			fail_msg("%s: %s", json_name, err.detail);
		check(&def);
		xml = build(&def, goldens[i].env);
		golden_expect(xml_name, xml);
		expect_back(&def, xml, goldens[i].env);
	}
}

/* A small VM with an osdisk on sata, which takes neither a controller nor an iothread nor a
 * letter of vdX. */
static void
fill_vm(struct vmdef *def)
{
	def->name = xstrdup("vm");
	def->cpudef = (struct cpudef){ xstrdup("maximum"), 0, 1, 1, 1 };
	def->memory.total = 64;
	def->osdisk.path = xstrdup("/vms/ds/os.qcow2");
	def->osdisk.bus = DISK_BUS_SATA;
}

/* What the XML must say of one disk beside the osdisk. */
static void
expect_disk(const char *xml, const struct disk *disk)
{
	static const char *const kinds[] = { "virtio__0", "scsi_virtio-scsi_1", "sata__1",
		"scsi_lsilogic_1" };
	static const char *const targets[] = { "dev=\"vda\" bus=\"virtio\"",
		"dev=\"sdc\" bus=\"scsi\"", "dev=\"sdc\" bus=\"sata\"",
		"dev=\"sdc\" bus=\"scsi\"" };
	bool lun = disk->device == DISK_DEVICE_LUN;
	bool managed = disk->man == DISK_MAN_MODE_MANAGED;
	_free_ char *alias = xasprintf(
	    "<alias name=\"ua-%c_%c_%s\"/>", "UM"[disk->man], "UtT"[disk->prov], kinds[disk->bus]);

	assert_int_equal(text_count(xml, "<disk "), 2);
	assert_int_equal(text_count(xml, alias), 1);
	assert_int_equal(text_count(xml, targets[disk->bus]), 1);
	/* And the VM's own. */
	assert_int_equal(text_count(xml, "<lease>"), managed + 1);
	assert_int_equal(text_count(xml, "rawio=\"yes\""), lun);
	assert_int_equal(text_count(xml, "<reservations managed=\"yes\"/>"), lun);
	assert_int_equal(text_count(xml, "cache=\"directsync\""), lun);
	assert_int_equal(text_count(xml, "type=\"block\""), lun);
	assert_int_equal(text_count(xml, "<readonly/>"), disk->device == DISK_DEVICE_CDROM);
	assert_int_equal(text_count(xml, "<boot order=\"2\"/>"), disk->device == DISK_DEVICE_CDROM);
	assert_int_equal(text_count(xml, "type=\"raw\""), strstr(disk->path, "qcow2") ? 0 : 1);
	assert_int_equal(text_count(xml, "iothread=\"1\""),
	    disk->bus == DISK_BUS_VIRTIO_BLK || disk->bus == DISK_BUS_VIRTIO_SCSI);
	assert_int_equal(text_count(xml, "<controller "),
	    disk->bus == DISK_BUS_VIRTIO_SCSI || disk->bus == DISK_BUS_SCSI ? 2 : 1);
}

static void
try_disk(const struct disk *disk)
{
	struct vmdef def = { 0 };
	_free_ char *xml = NULL;

	fill_vm(&def);
	model_copy(&disk_model, model_append(&def.disks, &def.n_disks), disk);
	if (vmdef_check(&def, "/vms", "vmdef", NULL) < 0) {
		model_clear(&vmdef_model, &def);
		return;
	}
	xml = build(&def, &x86);
	expect_disk(xml, &def.disks[0]);
	expect_back(&def, xml, &x86);
}

static void
test_every_legal_disk(void **state)
{
	static char paths[][32] = { "/vms/ds/x/disk.qcow2", "/vms/ds/x/disk.raw",
		"/vms/ds/x/disk.iso", "/dev/disk/by-id/scsi-36001405" };

	for (unsigned int i = 0; i < ARRAY_SIZE(paths) * 4 * 3 * 2 * 3; i++)
		try_disk(&(struct disk){ .path = paths[i % 4],
		    .bus = (enum disk_bus)(i / 4 % 4),
		    .device = (enum disk_device)(i / 16 % 3),
		    .man = (enum disk_man_mode)(i / 48 % 2),
		    .prov = (enum disk_prov_mode)(i / 96),
		    .size = 5 });
}

/* The rows of the tables in which some Vmdef had a value. */
struct seen {
	const struct field *rows[128];
	size_t n;
};

static bool
is_seen(const struct seen *seen, const struct field *f)
{
	for (size_t i = 0; i < seen->n; i++) {
		if (seen->rows[i] == f)
			return true;
	}
	return false;
}

static bool
has_value(const struct field *f, const void *obj)
{
	if (f->kind == KIND_STRING)
		return *field_get_string(f, obj) != '\0';
	if (f->kind == KIND_FLOAT)
		return *(const float *)field_member(f, obj) != 0;
	return field_get_int(f, obj) != 0;
}

static void
note_values(struct seen *seen, const struct model *m, const void *obj)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		size_t n;

		if (f->kind == KIND_STRUCT) {
			note_values(seen, f->sub, field_member(f, obj));
		} else if (f->kind == KIND_ARRAY) {
			const char *items = field_items(f, obj, &n);

			for (size_t k = 0; k < n; k++)
				note_values(seen, f->sub, items + k * f->sub->size);
		} else if (has_value(f, obj) && !is_seen(seen, f)) {
			assert_true(seen->n < ARRAY_SIZE(seen->rows));
			seen->rows[seen->n++] = f;
		}
	}
}

/* A field that is empty in each of them would come back as it was even if the XML did not have it.
 */
static void
expect_all_seen(const struct seen *seen, const struct model *m)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];

		if (f->sub)
			expect_all_seen(seen, f->sub);
		else if (!is_seen(seen, f))
			fail_msg("random_vmdef() never sets '%s' of a %s", f->name, m->name);
	}
}

static void
test_random_round_trips(void **state)
{
	struct random r = { .state = 4711 };
	struct seen seen = { 0 };

	for (int i = 0; i < 500; i++) {
		struct vmdef def = { 0 };
		_free_ char *xml = NULL;

		random_vmdef(&r, "/vms", &def);
		note_values(&seen, &vmdef_model, &def);
		check(&def);
		xml = build(&def, &x86_qemu);
		expect_back(&def, xml, &x86_qemu);
	}
	expect_all_seen(&seen, &vmdef_model);
}

static void
test_another_root(void **state)
{
	struct domain_env env = { .root = "/srv/vm store", .arch = "x86_64", .kvm = true };
	struct vmdef def = { 0 };
	_free_ char *xml = NULL;

	fill_vm(&def);
	str_set(&def.osdisk.path, "/srv/vm store/ds/os.qcow2");
	def.osdisk.man = DISK_MAN_MODE_MANAGED;
	xml = build(&def, &env);
	/* The lease's name does not depend on the root: md5 of "os.qcow2". */
	assert_non_null(strstr(xml, "path=\"/srv/vm store/lock/79abc5d330b79a3ad52e9f89b4d8482a/"
				    "79abc5d330b79a3ad52e9f89b4d8482a\" offset=\"0\""));
	expect_back(&def, xml, &env);
}

static void
expect_refused(struct vmdef *def, const struct domain_env *env, int status, const char *detail)
{
	struct error err = { 0 };
	char *xml = NULL;

	assert_int_equal(domain_xml_build(def, UUID, env, &xml, &err), -1);
	assert_null(xml);
	assert_int_equal(err.status, status);
	assert_string_equal(err.detail, detail);
	model_clear(&vmdef_model, def);
}

static void
test_what_cannot_be_expressed(void **state)
{
	struct domain_env env = { .root = "/vms", .arch = "riscv64", .kvm = true };
	struct vmdef def = { 0 };

	fill_vm(&def);
	expect_refused(
	    &def, &env, 422, "a VM cannot be defined on a host of the architecture 'riscv64'");
	fill_vm(&def);
	expect_refused(&def, &arm, 422, "there is no bios on a host of the architecture 'aarch64'");
	fill_vm(&def);
	str_set(&def.name, "bell\x07");
	expect_refused(&def, &x86, 400, "'bell\x07' holds a character that XML cannot carry");
	fill_vm(&def);
	str_set(&def.cpudef.model, "bad\xff");
	expect_refused(&def, &x86, 400, "'bad\xff' holds a character that XML cannot carry");
	fill_vm(&def);
	str_set(&def.osdisk.path, "/vms/ds/\xef\xbf\xbf.raw");
	expect_refused(
	    &def, &x86, 400, "'/vms/ds/\xef\xbf\xbf.raw' holds a character that XML cannot carry");
	fill_vm(&def);
	str_set(&def.osdisk.path, "/dev/disk/by-id/scsi-");
	def.osdisk.device = DISK_DEVICE_LUN;
	def.osdisk.man = DISK_MAN_MODE_MANAGED;
	expect_refused(&def, &x86, 400, "'/dev/disk/by-id/scsi-' gives its lease no name");
	fill_vm(&def);
	for (int i = 0; i <= VMDEF_DISKS_MAX; i++)
		model_append(&def.disks, &def.n_disks)->path = xstrdup("/vms/ds/x.raw");
	expect_refused(&def, &x86, 400, "a VM has at most 20 disks");
}

static void
test_address_bits(void **state)
{
	static const struct {
		int32_t mib;
		const char *limit;
	} rows[] = { { 1, "\"36\"" }, { 32768, "\"36\"" }, { 65535, "\"36\"" }, { 65536, "\"37\"" },
		{ 1024 * 1024, "\"41\"" }, { INT32_MAX, "\"51\"" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmdef def = { 0 };
		_free_ char *xml = NULL, *expected = NULL;

		fill_vm(&def);
		def.memory.total = rows[i].mib;
		xml = build(&def, &x86);
		expected = xasprintf("<maxphysaddr mode=\"passthrough\" limit=%s/>", rows[i].limit);
		assert_non_null(strstr(xml, expected));
		expect_back(&def, xml, &x86);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_every_legal_disk),
		cmocka_unit_test(test_random_round_trips),
		cmocka_unit_test(test_another_root),
		cmocka_unit_test(test_what_cannot_be_expressed),
		cmocka_unit_test(test_address_bits),
	};

	return cmocka_run_group_tests_name("domain_xml", tests, NULL, NULL);
}
