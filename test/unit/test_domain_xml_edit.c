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

static const struct domain_env env = { .root = "/vms", .arch = "x86_64", .kvm = true };

/* What no Vmdef says, by where it goes into libvirt's dump. */
static const struct extra {
	const char *before; /* this text of it */
	const char *text;
} extras[] = {
	{ "</metadata>", "<extra:note xmlns:extra=\"urn:of-others\">mine</extra:note>" },
	{ "</devices>", "<watchdog model=\"i6300esb\" action=\"reset\"/>" },
	{ "</devices>", "<lease><lockspace>of_others</lockspace><key>theirs</key>"
			"<target path=\"/vms/theirs\"/></lease>" },
	{ "<os ", "<cputune><shares>512</shares><vcpupin vcpu=\"1\" cpuset=\"0\"/></cputune>" },
	{ "</domain>",
	    "<qemu:commandline xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">"
	    "<qemu:arg value=\"-msg\"/></qemu:commandline>" },
	{ "<target dev='vdb'", "<iotune><read_iops_sec>100</read_iops_sec></iotune>" },
	{ "<target dev='vdb'", "<serial>of-the-disk</serial>" },
	{ "</features>", "<hyperv><relaxed state=\"on\"/></hyperv>" },
	{ "</cpu>", "<feature policy=\"require\" name=\"vmx\"/>" },
	{ "</devices>", "<interface type=\"network\"><mac address=\"52:54:00:00:00:01\"/>"
			"<source network=\"lan\" portgroup=\"fast\"/>"
			"<bandwidth><inbound average=\"1000\"/></bandwidth><model type=\"virtio\"/>"
			"<driver txmode=\"iothread\" queues=\"4\"/><boot order=\"9\"/>"
			"<address type=\"pci\" bus=\"0x77\"/></interface>" },
};

static char *
insert(char *xml, const char *before, const char *text)
{
	const char *at = strstr(xml, before);
	char *ret;

	assert_non_null(at);
	ret = xasprintf("%.*s%s%s", (int)(at - xml), xml, text, at);
	free(xml);
	return ret;
}

/* libvirt's dump of a VM of 21 disks and 2 vcpus, with all that. */
static char *
read_dump(struct domain_info *info)
{
	char *xml = golden_read("domain/read/inactive.xml");
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(extras); i++)
		xml = insert(xml, extras[i].before, extras[i].text);
	*info = (struct domain_info){ 0 };
	if (domain_xml_read(xml, "/vms", info, &err) < 0 || info->foreign)
		fail_msg("%s%s", err.detail, str_or_empty(info->foreign_why));
	return xml;
}

static char *
edit(const char *xml, const struct vmdef *def, bool force)
{
	struct error err = { 0 };
	char *ret = NULL;

	if (domain_xml_edit(xml, def, &env, force, &ret, &err) < 0)
		fail_msg("%s", err.detail);
	return ret;
}

static void
expect_refusal(const char *xml, const struct vmdef *def, const char *element)
{
	struct error err = { 0 };
	char *ret = NULL;

	assert_int_equal(domain_xml_edit(xml, def, &env, false, &ret, &err), -1);
	assert_null(ret);
	assert_int_equal(err.status, 422);
	if (!strstr(err.detail, element))
		fail_msg("no %s in: %s", element, err.detail);
}

static void
expect_def(const char *xml, const struct vmdef *def)
{
	struct domain_info info = { 0 };
	struct vmdef expected;
	struct error err = { 0 };

	if (domain_xml_read(xml, "/vms", &info, &err) < 0)
		fail_msg("%s", err.detail);
	if (info.foreign)
		fail_msg("%s", info.foreign_why);
	vmdef_expect(def, &info.def, &expected);
	if (!model_equal(&vmdef_model, &expected, &info.def)) {
		_free_ char *got = json_encode(&vmdef_model, &info.def, NULL);
		_free_ char *sent = json_encode(&vmdef_model, &expected, NULL);

		assert_string_equal(got, sent);
	}
	model_clear(&vmdef_model, &expected);
	domain_info_clear(&info);
}

static void
expect_extras(const char *xml)
{
	static const char *const pieces[] = { "extra:note", "<watchdog", "of_others", "<shares>512",
		"<vcpupin", "<qemu:arg value=\"-msg\"/>", "read_iops_sec>100", "of-the-disk",
		"<hyperv>", "name=\"vmx\"", "portgroup=\"fast\"", "<bandwidth>", "queues=\"4\"",
		"<boot order=\"9\"/>", "bus=\"0x77\"", "VmShutdown", "bus=\"0x0c\"" };

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		if (!strstr(xml, pieces[i]))
			fail_msg("%s is gone from %s", pieces[i], xml);
}

static void
test_nothing_changes(void **state)
{
	struct domain_info info;
	_free_ char *xml = read_dump(&info);
	_free_ char *same = edit(xml, &info.def, false);

	expect_def(same, &info.def);
	expect_extras(same);
	assert_int_equal(text_count(same, "<disk "), text_count(xml, "<disk "));
	assert_int_equal(text_count(same, "<controller "), text_count(xml, "<controller "));
	assert_int_equal(text_count(same, "<lease>"), text_count(xml, "<lease>"));
	assert_int_equal(text_count(same, "<address "), text_count(xml, "<address "));
	/* Ours is the first, whatever came before it. */
	assert_true(strstr(same, "<metadata><virtx-vm:data-vm") != NULL);
	domain_info_clear(&info);
}

static void
test_all_that_a_vmdef_says(void **state)
{
	struct domain_info info;
	_free_ char *xml = read_dump(&info), *changed = NULL;
	struct vmdef *def = &info.def;

	str_set(&def->name, "other");
	str_set(&def->cpudef.model, "EPYC");
	def->cpudef.sockets = 4;
	def->memory.total = 4096;
	def->memory.hp = true;
	def->numa.placement = true;
	def->vlanid = 7;
	str_set(&def->genid, "auto");
	str_set(&def->nets[0].name, "other-lan");
	model_append(&def->custom, &def->n_custom)->name = xstrdup("field");
	def->custom[0].value = xstrdup("value");
	changed = edit(xml, def, false);
	expect_def(changed, def);
	assert_null(strstr(changed, "portgroup"));
	assert_non_null(strstr(changed, "<bandwidth>"));
	assert_non_null(strstr(changed, "machine=\"pc-q35-7.2\""));
	domain_info_clear(&info);
}

static void
test_disks_come_and_go(void **state)
{
	struct domain_info info;
	_free_ char *xml = read_dump(&info), *changed = NULL;
	struct vmdef *def = &info.def;
	size_t last = def->n_disks - 1;

	/* 00.iso, a sata CD, goes; 02.qcow2 was on a controller that is another now. */
	model_clear(&disk_model, &def->disks[0]);
	def->disks[0] = def->disks[last];
	memset(&def->disks[last], 0, sizeof(def->disks[last]));
	def->disks[last].path = xstrdup("/vms/ds/new.raw");
	def->disks[last].man = DISK_MAN_MODE_MANAGED;
	changed = edit(xml, def, false);
	expect_def(changed, def);
	expect_extras(changed);
	assert_null(strstr(changed, "00.iso"));
	assert_int_equal(text_count(changed, "<backingStore/>"), 1);
	/* sata stays as it was, and lsilogic and virtio-scsi keep one each. */
	assert_int_equal(text_count(changed, "<controller "), text_count(xml, "<controller "));
	domain_info_clear(&info);
}

static void
test_what_cannot_stay(void **state)
{
	struct domain_info info;
	_free_ char *dump = read_dump(&info);
	_free_ char *numa = insert(xstrdup(dump), "</cpu>", "<numa><cell id=\"0\"/></numa>");
	_free_ char *boot = insert(xstrdup(dump), "</devices>",
	    "<hostdev mode=\"subsystem\" type=\"usb\"><boot order=\"5\"/></hostdev>");
	_free_ char *changed = NULL;
	struct vmdef *def = &info.def;

	def->cpudef.cores = 1;
	expect_refusal(dump, def, "'cputune/vcpupin'");
	changed = edit(dump, def, true);
	expect_def(changed, def);
	assert_null(strstr(changed, "vcpupin"));
	assert_non_null(strstr(changed, "<shares>512"));
	def->cpudef.cores = 2;

	def->memory.total++;
	expect_refusal(numa, def, "'cpu/numa'");
	def->memory.total--;
	/* One more CD that a guest may boot from. */
	free(edit(boot, def, false));
	for (size_t i = 0; i < 2; i++) {
		struct disk *disk = &def->disks[i + 1];

		disk->bus = DISK_BUS_SATA;
		disk->device = DISK_DEVICE_CDROM;
	}
	expect_refusal(boot, def, "'devices/hostdev/boot'");
	domain_info_clear(&info);
}

static void
test_another_machine(void **state)
{
	struct domain_info info;
	_free_ char *xml = read_dump(&info), *changed = NULL, *back = NULL;
	struct vmdef *def = &info.def;

	def->firmware = FIRMWARE_TYPE_BIOS;
	changed = edit(xml, def, false);
	expect_def(changed, def);
	assert_null(strstr(changed, "type=\"pci\""));
	assert_null(strstr(changed, "pcie"));
	assert_null(strstr(changed, "firmware="));
	assert_non_null(strstr(changed, "<watchdog"));
	def->firmware = FIRMWARE_TYPE_UEFI;
	back = edit(changed, def, false);
	expect_def(back, def);
	assert_null(strstr(back, "<bios"));
	domain_info_clear(&info);
}

static void
test_interfaces_without_a_mac(void **state)
{
	struct domain_info info;
	_free_ char *xml = read_dump(&info), *changed = NULL, *other = NULL;
	struct vmdef *def = &info.def;

	str_set(&def->nets[0].mac, "");
	changed = edit(xml, def, false);
	expect_extras(changed);
	assert_non_null(strstr(changed, "52:54:00:00:00:01"));
	/* Another network is another interface. */
	str_set(&def->nets[0].name, "other");
	other = edit(xml, def, false);
	assert_null(strstr(other, "52:54:00:00:00:01"));
	domain_info_clear(&info);
}

static bool
is_os_disk(const struct disk *disk, void *arg)
{
	return str_equal(disk->path, arg);
}

static void
test_renew(void **state)
{
	static const char path[] = "/vms/nvram/" UUID "_VARS.fd";
	static char os[] = "/vms/ds/os.qcow2";
	const struct domain_renewal renewal = { path, true, is_os_disk, os };
	struct domain_info info, renewed = { 0 };
	_free_ char *dump = read_dump(&info), *xml = NULL, *again = NULL;
	struct error err = { 0 };

	assert_null(info.variables);
	assert_int_equal(domain_xml_renew(dump, &renewal, "/vms", &xml, &err), 0);
	assert_non_null(xml);
	expect_extras(xml);
	expect_def(xml, &info.def);
	assert_int_equal(text_count(xml, "<backingStore/>"), 1);
	assert_int_equal(domain_xml_read(xml, "/vms", &renewed, &err), 0);
	assert_string_equal(renewed.variables, path);
	assert_int_equal(domain_xml_renew(xml, &renewal, "/vms", &again, &err), 0);
	assert_null(again);
	domain_info_clear(&info);
	domain_info_clear(&renewed);
}

/* Whether the domain names the VM's own lease, once. */
static bool
is_leased(const char *xml)
{
	struct domain_info info = { 0 };
	struct error err = { 0 };
	bool leased;

	assert_int_equal(domain_xml_read(xml, "/vms", &info, &err), 0);
	leased = info.leased;
	assert_string_equal(info.lease.path, "vm-" UUID);
	assert_int_equal(text_count(xml, "<key>vm-" UUID "</key>"), leased);
	assert_int_equal(text_count(xml, "\"/vms/lock/vm-" UUID "/vm-" UUID "\""), leased);
	domain_info_clear(&info);
	return leased;
}

static bool
is_never_whole(const struct disk *disk, void *arg)
{
	return false;
}

/* One from before VMs had a lease of their own gets it, where libvirt starts a domain with one
 * more; what a domain has it keeps. */
static void
test_vm_lease(void **state)
{
	static const char other[] =
	    "<lease><lockspace>others</lockspace><key>k</key><target path='/k'/></lease>";
	struct domain_renewal renewal = { .whole = is_never_whole };
	struct domain_info info = { 0 };
	_free_ char *xml = golden_read("domain/read/go.xml"), *edited = NULL, *same = NULL;
	char *renewed = NULL;
	struct error err = { 0 };

	assert_int_equal(domain_xml_read(xml, "/vms", &info, &err), 0);
	assert_true(info.has_room);
	assert_false(is_leased(xml));
	assert_int_equal(domain_xml_renew(xml, &renewal, "/vms", &renewed, &err), 0);
	assert_null(renewed);
	renewal.lease = true;
	assert_int_equal(domain_xml_renew(xml, &renewal, "/vms", &renewed, &err), 0);
	assert_true(is_leased(renewed));
	edited = edit(xml, &info.def, false);
	assert_true(is_leased(edited));
	/* Others fill it up. */
	for (int i = 1; i < VMDEF_LEASES_MAX; i++) {
		xml = insert(xml, "</devices>", other);
		renewed = insert(renewed, "</devices>", other);
	}
	free(edited);
	edited = edit(xml, &info.def, false);
	assert_false(is_leased(edited));
	assert_int_equal(text_count(edited, "others"), VMDEF_LEASES_MAX - 1);
	same = edit(renewed, &info.def, false);
	assert_true(is_leased(same));
	free(steal_ptr(renewed));
	assert_int_equal(domain_xml_renew(xml, &renewal, "/vms", &renewed, &err), 0);
	assert_null(renewed);
	domain_info_clear(&info);
}

static void
test_random(void **state)
{
	struct random r = { 1 };

	for (int i = 0; i < 500; i++) {
		struct vmdef from = { 0 }, to = { 0 };
		_free_ char *xml = NULL, *changed = NULL;
		struct error err = { 0 };

		random_vmdef(&r, "/vms", &from);
		random_vmdef(&r, "/vms", &to);
		if (vmdef_check(&from, "/vms", "vmdef", &err) < 0 ||
		    vmdef_check(&to, "/vms", "vmdef", &err) < 0 ||
		    domain_xml_build(&from, UUID, &env, &xml, &err) < 0)
			fail_msg("%s", err.detail);
		/* "auto" keeps what there is. */
		if (str_equal(to.genid, "auto"))
			str_set(&to.genid, from.genid);
		changed = edit(xml, &to, false);
		expect_def(changed, &to);
		assert_true(is_leased(xml) && is_leased(changed));
		model_clear(&vmdef_model, &from);
		model_clear(&vmdef_model, &to);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_changes),
		cmocka_unit_test(test_all_that_a_vmdef_says),
		cmocka_unit_test(test_disks_come_and_go),
		cmocka_unit_test(test_what_cannot_stay),
		cmocka_unit_test(test_another_machine),
		cmocka_unit_test(test_interfaces_without_a_mac),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_vm_lease),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
