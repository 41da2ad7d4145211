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
#include "proto/utf8.h"

#define UUID	"a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01"
#define DATA_VM "<metadata><v:data-vm xmlns:v='virtx-vm'/></metadata>"
#define OS_DISK                                                        \
	"<disk><source file='/vms/ds/o.raw'/><boot order='1'/><alias " \
	"name='ua-U_U_sata__0'/></disk>"

/* Reads what must be readable. */
static void
read_domain(const char *xml, struct domain_info *info)
{
	struct error err = { 0 };

	*info = (struct domain_info){ 0 };
	if (domain_xml_read(xml, "/vms", info, &err) < 0)
		fail_msg("%s", err.detail);
}

/* Reads <domain> with this inside, after a uuid. */
static void
read_inside(const char *inside, struct domain_info *info)
{
	_free_ char *xml = xasprintf("<domain type='kvm'><uuid>" UUID "</uuid>%s</domain>", inside);

	read_domain(xml, info);
}

/* Reads a dump of libvirt 9.0 and compares its Vmdef with the golden one. */
static void
read_dump(const char *name, struct domain_info *info)
{
	_free_ char *xml_name = xasprintf("domain/read/%s.xml", name);
	_free_ char *json_name = xasprintf("domain/read/%s.json", name);
	_free_ char *xml = golden_read(xml_name);
	_free_ char *json = NULL;

	read_domain(xml, info);
	assert_string_equal(info->uuid, UUID);
	json = json_encode_pretty(&vmdef_model, &info->def, NULL);
	golden_expect(json_name, json);
}

static void
expect_op(const struct oplog_item *item, const char *op, int64_t ts, int64_t te, const char *status,
    const char *msg)
{
	assert_string_equal(item->op, op);
	assert_int_equal(item->ts, ts);
	assert_int_equal(item->te, te);
	assert_string_equal(item->status, status);
	assert_string_equal(item->msg, msg);
}

static void
test_dump_of_a_defined_domain(void **state)
{
	_free_ char *asked = golden_read("domain/disks-mixed.json");
	struct domain_info info;
	struct vmdef def = { 0 };

	read_dump("inactive", &info);
	assert_false(info.foreign);
	assert_string_equal(info.type, "kvm");
	assert_null(info.cloud_init);

	/* libvirt has sorted the disks by bus. */
	assert_int_equal(json_decode(&vmdef_model, asked, strlen(asked), &def, NULL), 0);
	assert_int_equal(info.def.n_disks, def.n_disks);
	for (size_t i = 0; i < def.n_disks; i++)
		assert_string_equal(info.def.disks[i].path, def.disks[i].path);
	model_clear(&vmdef_model, &def);

	/* Written in another order. */
	assert_int_equal(info.oplog.n_items, 3);
	expect_op(&info.oplog.items[0], "VmBoot", 1700000000003, 1700000000103, "completed",
	    "<graceful> shutdown");
	expect_op(&info.oplog.items[1], "VmMigrate", 1700000000001, 1700000000101, "completed",
	    "<graceful> shutdown");
	expect_op(&info.oplog.items[2], "VmShutdown", 1700000000005, 1700000000105, "completed",
	    "<graceful> shutdown");
	domain_info_clear(&info);
	domain_info_clear(&info);
	assert_null(info.uuid);
}

static void
test_dump_of_a_running_domain(void **state)
{
	struct domain_info live, inactive;

	read_dump("live", &live);
	assert_false(live.foreign);
	assert_string_equal(live.type, "qemu");
	assert_string_equal(live.cloud_init, "/vms/ds/ci/" UUID "/seed.iso");
	read_dump("live-inactive", &inactive);
	assert_null(inactive.cloud_init);
	assert_true(model_equal(&vmdef_model, &live.def, &inactive.def));
	domain_info_clear(&live);
	domain_info_clear(&inactive);
}

/* Metadata in a default namespace, and the firmware attribute on a bios. */
static void
test_dump_of_a_domain_of_the_go_virtx(void **state)
{
	struct domain_info info;

	read_dump("go", &info);
	assert_false(info.foreign);
	assert_int_equal(info.def.firmware, FIRMWARE_TYPE_BIOS);
	assert_int_equal(info.def.n_custom, 2);
	assert_string_equal(info.def.custom[0].value, "1217");
	assert_int_equal(info.oplog.n_items, 1);
	expect_op(&info.oplog.items[0], "VmBoot", 1700000000000, 0, "started", "");
	domain_info_clear(&info);
}

static void
test_dump_of_a_foreign_domain(void **state)
{
	struct domain_info info;

	read_dump("foreign", &info);
	assert_true(info.foreign);
	assert_string_equal(info.foreign_why, "it has no metadata of VirtX");
	assert_string_equal(info.def.name, "by-hand");
	assert_int_equal(info.def.cpudef.sockets, 3);
	assert_int_equal(info.def.memory.total, 2048);
	assert_int_equal(info.def.firmware, FIRMWARE_TYPE_BIOS);
	assert_int_equal(info.def.n_nets, 2);
	domain_info_clear(&info);
}

static void
expect_foreign(const char *inside, const char *why)
{
	struct domain_info info;

	read_inside(inside, &info);
	assert_true(info.foreign);
	assert_string_equal(info.foreign_why, why);
	domain_info_clear(&info);
}

static void
test_reasons_to_be_foreign(void **state)
{
	expect_foreign("", "it has no metadata of VirtX");
	expect_foreign(
	    "<metadata><data-vm xmlns='other'/></metadata>", "it has no metadata of VirtX");
	expect_foreign(DATA_VM, "no disk of it has the boot order 1");
	expect_foreign(DATA_VM "<devices><disk><target dev='vda' bus='virtio'/></disk></devices>",
	    "its disk 'vda' has no alias of VirtX (it has '')");
	expect_foreign(DATA_VM
	    "<devices><disk device='floppy'><target dev='fda'/></disk></devices>",
	    "its device 'fda' is of the kind 'floppy'");
	expect_foreign(DATA_VM "<devices>" OS_DISK
			       "<interface type='user'><mac address='52:54:00:00:00:01'/>"
			       "<model type='virtio'/></interface></devices>",
	    "its interface '52:54:00:00:00:01' is connected to neither a network nor a bridge");
	expect_foreign(DATA_VM
	    "<devices>" OS_DISK "<interface type='network'>"
	    "<source network='n'/><model type='ne2k_pci'/></interface></devices>",
	    "its interface '' has the model 'ne2k_pci'");
}

static void
test_aliases(void **state)
{
	static const char *const bad[] = { "", "ua-", "ua-mydisk", "virtio-disk0",
		"ua-M_t_virtio__", "ua-M_t_virtio__x", "ua-M_t_virtio__0x", "ua-X_t_virtio__0",
		"ua-M_x_virtio__0", "ua-M-t_virtio__0", "ua-M_t_virtio_scsi_0", "ua-M_t_scsi__1",
		"ua-M_t_sata_lsilogic_0", "ua-M_t_ide__0", "ua-M_t__", "UA-M_t_virtio__0" };
	struct domain_info info;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_free_ char *inside = xasprintf(DATA_VM
		    "<devices><disk><target dev='vda'/><boot order='1'/><alias name='%s'/></disk>"
		    "</devices>",
		    bad[i]);
		_free_ char *why =
		    xasprintf("its disk 'vda' has no alias of VirtX (it has '%s')", bad[i]);

		expect_foreign(inside, why);
	}
	read_inside(DATA_VM "<devices><disk device='lun'><source dev='/dev/x'/><boot order='1'/>"
			    "<alias name='ua-M_T_scsi_virtio-scsi_21'/></disk></devices>",
	    &info);
	assert_false(info.foreign);
	assert_int_equal(info.def.osdisk.man, DISK_MAN_MODE_MANAGED);
	assert_int_equal(info.def.osdisk.prov, DISK_PROV_MODE_THICK);
	assert_int_equal(info.def.osdisk.bus, DISK_BUS_VIRTIO_SCSI);
	assert_int_equal(info.def.osdisk.device, DISK_DEVICE_LUN);
	assert_string_equal(info.def.osdisk.path, "/dev/x");
	domain_info_clear(&info);
}

static void
test_cloud_init_is_told_from_other_cds(void **state)
{
#define CD(path, controller)                                                                     \
	"<disk device='cdrom'><source file='" path "'/><target dev='sda' bus='scsi'/>"           \
	"<alias name='ua-M_U_scsi_virtio-scsi_0'/><address type='drive' controller='" controller \
	"'/></disk>"
	struct domain_info info;

	read_inside(
	    DATA_VM "<devices>" OS_DISK CD("/vms/ds/ci/x/seed.iso", "0") "</devices>", &info);
	assert_string_equal(info.cloud_init, "/vms/ds/ci/x/seed.iso");
	assert_int_equal(info.def.n_disks, 0);
	assert_false(info.foreign);
	domain_info_clear(&info);
	read_inside(
	    DATA_VM "<devices>" OS_DISK CD("/vms/ds/ci/x/seed.iso", "1") "</devices>", &info);
	assert_null(info.cloud_init);
	assert_int_equal(info.def.n_disks, 1);
	domain_info_clear(&info);
	read_inside(
	    DATA_VM "<devices>" OS_DISK CD("/vms/ds/cix/seed.iso", "0") "</devices>", &info);
	assert_null(info.cloud_init);
	assert_int_equal(info.def.n_disks, 1);
	domain_info_clear(&info);
}

static void
test_firmware(void **state)
{
	static const struct {
		const char *os;
		enum firmware_type firmware;
	} rows[] = {
		{ "<os firmware='efi'/>", FIRMWARE_TYPE_UEFI },
		{ "<os firmware='efi'><bios/></os>", FIRMWARE_TYPE_UEFI },
		{ "<os firmware='bios'/>", FIRMWARE_TYPE_BIOS },
		{ "<os><bios useserial='no'/></os>", FIRMWARE_TYPE_BIOS },
		{ "<os><loader type='pflash'>x</loader></os>", FIRMWARE_TYPE_UEFI },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *inside =
		    xasprintf(DATA_VM "<devices>" OS_DISK "</devices>%s", rows[i].os);
		struct domain_info info;

		read_inside(inside, &info);
		assert_false(info.foreign);
		assert_int_equal(info.def.firmware, rows[i].firmware);
		domain_info_clear(&info);
	}
}

static void
test_memory_units(void **state)
{
	static const struct {
		const char *memory;
		int32_t mib;
	} rows[] = {
		{ "<memory>2047</memory>", 1 },
		{ "<memory unit='KiB'>1048576</memory>", 1024 },
		{ "<memory unit='MiB'> 7\n</memory>", 7 },
		{ "<memory unit='GiB'>3</memory>", 3072 },
		{ "<memory unit='bytes'>1048576</memory>", 1 },
		{ "<memory unit='GB'>1</memory>", 953 },
		{ "<memory unit='ells'>1</memory>", 0 },
		{ "<memory>-5</memory>", 0 },
		{ "<memory>many</memory>", 0 },
		{ "<memory unit='TiB'>9223372036854775807</memory>", INT32_MAX },
		{ "<memory unit='TiB'>99999999999999999999</memory>", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct domain_info info;

		read_inside(rows[i].memory, &info);
		assert_int_equal(info.def.memory.total, rows[i].mib);
		domain_info_clear(&info);
	}
}

static void
test_numbers_out_of_range(void **state)
{
	struct domain_info info;

	read_inside("<cpu mode='custom'><model>m</model>"
		    "<topology sockets='32768' cores='-1' threads='x'/></cpu>"
		    "<devices><interface><vlan><tag id='4095'/></vlan></interface></devices>",
	    &info);
	assert_string_equal(info.def.cpudef.model, "m");
	assert_int_equal(info.def.cpudef.sockets, 0);
	assert_int_equal(info.def.cpudef.cores, 0);
	assert_int_equal(info.def.cpudef.threads, 0);
	assert_int_equal(info.def.vlanid, 0);
	domain_info_clear(&info);
}

static void
test_long_names_are_cut_between_characters(void **state)
{
	_buffer_ struct buffer inside = { 0 };
	struct domain_info info;

	buffer_printf(&inside, "<title>a");
	for (int i = 0; i < 100; i++)
		buffer_printf(&inside, "日");
	buffer_printf(&inside, "</title>");
	read_inside(inside.data, &info);
	assert_int_equal(strlen(info.def.name), 127);
	assert_true(utf8_valid(info.def.name, 127));
	domain_info_clear(&info);
}

static void
expect_unreadable(const char *xml, const char *detail)
{
	struct domain_info info = { 0 };
	struct error err = { 0 };

	assert_int_equal(domain_xml_read(xml, "/vms", &info, &err), -1);
	assert_int_equal(err.status, 500);
	if (!strstr(err.detail, detail))
		assert_string_equal(err.detail, detail);
	assert_null(info.uuid);
	domain_info_clear(&info);
}

static void
test_malformed(void **state)
{
	expect_unreadable("", "the domain's XML is malformed: line ");
	expect_unreadable("<domain>", "the domain's XML is malformed: line 1: Premature end");
	expect_unreadable("<domain>\xff</domain>", "the domain's XML is malformed: line 1: ");
	expect_unreadable(
	    "<network/>", "the domain's XML does not begin with the element 'domain'");
	expect_unreadable("<domain xmlns='x'/>", "does not begin with the element 'domain'");
	expect_unreadable("<domain/>", "the domain's XML has no valid uuid ('')");
	expect_unreadable("<domain><uuid>../../etc</uuid></domain>",
	    "the domain's XML has no valid uuid ('../../etc')");
}

static void
test_document_types_are_refused(void **state)
{
	static const char refused[] =
	    "the domain's XML has a document type declaration, which is refused";

	expect_unreadable("<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'>"
			  "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;'>]>"
			  "<domain><uuid>" UUID "</uuid><title>&c;</title></domain>",
	    refused);
	expect_unreadable("<!DOCTYPE domain [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>"
			  "<domain><uuid>" UUID "</uuid><title>&f;</title></domain>",
	    refused);
	expect_unreadable("<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'><domain/>", refused);
	/* In a comment or a text it is none. */
	struct domain_info info;

	read_inside("<!-- <!DOCTYPE x> --><title>&lt;!DOCTYPE</title>", &info);
	assert_string_equal(info.def.name, "<!DOCTYPE");
	domain_info_clear(&info);
}

static void
test_size_and_depth_are_capped(void **state)
{
	_buffer_ struct buffer deep = { 0 }, huge = { 0 }, disks = { 0 };
	struct domain_info info;

	buffer_printf(&deep, "<domain>");
	for (int i = 0; i < 100000; i++)
		buffer_printf(&deep, "<a>");
	expect_unreadable(deep.data, "the domain's XML is malformed: line 1: Excessive depth");
	buffer_printf(&huge, "<domain><title>%*s", 1024 * 1024, "");
	expect_unreadable(huge.data, "the domain's XML is longer than 1048576 bytes");
	for (int i = 0; i < 1000; i++)
		buffer_printf(
		    &disks, "<disk><alias name='ua-U_U_sata__%d'/></disk><interface/>", i);
	_free_ char *inside = xasprintf(DATA_VM "<devices>" OS_DISK "%s</devices>", disks.data);
	read_inside(inside, &info);
	assert_true(info.foreign);
	assert_string_equal(info.foreign_why, "it has more than 64 disks");
	assert_int_equal(info.def.n_disks, 63);
	assert_int_equal(info.def.n_nets, 64);
	domain_info_clear(&info);
}

static void
test_other_namespaces_are_passed_over(void **state)
{
	struct domain_info info;

	/* Elements of other namespaces are of others. */
	read_inside("<x:title xmlns:x='urn:x'>no</x:title><name>n</name>"
		    "<x:memory xmlns:x='urn:x'>99999</x:memory>",
	    &info);
	assert_string_equal(info.def.name, "n");
	assert_int_equal(info.def.memory.total, 0);
	domain_info_clear(&info);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_of_a_defined_domain),
		cmocka_unit_test(test_dump_of_a_running_domain),
		cmocka_unit_test(test_dump_of_a_domain_of_the_go_virtx),
		cmocka_unit_test(test_dump_of_a_foreign_domain),
		cmocka_unit_test(test_reasons_to_be_foreign),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_cloud_init_is_told_from_other_cds),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_memory_units),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_long_names_are_cut_between_characters),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_document_types_are_refused),
		cmocka_unit_test(test_size_and_depth_are_capped),
		cmocka_unit_test(test_other_namespaces_are_passed_over),
	};

	return cmocka_run_group_tests_name("domain_xml_read", tests, NULL, NULL);
}
