/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of bare_disk_xml.c: which disks of a domain should have a lease and have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/domain_xml.h"
#include "proto/vmdef.h"

#define DISK(device, source, more, target, alias)                                    \
	"<disk device='" device "'><source " source "/>" more "<target dev='" target \
	"'/><alias name='" alias "'/></disk>"
#define BELOW(source, more) "<backingStore type='file'><source " source "/>" more "</backingStore>"

/* As a struct bare_disk. */
struct wanted {
	const char *target, *path, *base;
	bool ours;
};

/* The lease of an image, in our lockspace or another's. */
static char *
lease(const char *path, const char *lockspace)
{
	const struct disk disk = { .path = (char *)path };
	struct error err = { 0 };
	char name[49];

	assert_int_equal(disk_resource_name(&disk, "/vms", name, &err), 0);
	return xasprintf("<lease><lockspace>%s</lockspace><key>%s</key></lease>", lockspace, name);
}

static void
expect(const char *disks, const char *leases, const struct wanted *wanted, size_t n_wanted)
{
	_free_ char *xml = xasprintf("<domain><devices>%s%s</devices></domain>", disks, leases);
	struct bare_disk *found = NULL;
	struct error err = { 0 };
	size_t n = 0;

	if (domain_bare_disks_read(xml, "/vms", &found, &n, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(n, n_wanted);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(found[i].target, wanted[i].target);
		assert_string_equal(found[i].path, wanted[i].path);
		assert_string_equal(str_or_empty(found[i].base), str_or_empty(wanted[i].base));
		assert_int_equal(found[i].ours, wanted[i].ours);
	}
	domain_bare_disks_free(found, n);
}

static void
test_told(void **state)
{
	static const char disks[] = DISK("disk", "file='/vms/ds/s2.qcow2'",
	    BELOW("file='/vms/ds/s1.qcow2'", BELOW("file='/vms/ds/a.qcow2'", "")), "vda",
	    "ua-M_t_virtio__0")
	    DISK("disk", "file='/vms/ds/copy.raw'", "<backingStore/>", "vdb", "ua-M_t_virtio__1")
		DISK("disk", "file='/vms/ds/b.raw'", "", "vdc", "virtio-disk2")
		    DISK("lun", "dev='/dev/sdx'", "", "sda", "scsi0-0-0-1");
	static const struct wanted wanted[] = {
		{ "vda", "/vms/ds/s2.qcow2", "/vms/ds/a.qcow2", true },
		{ "vdb", "/vms/ds/copy.raw", NULL, true },
		{ "vdc", "/vms/ds/b.raw", NULL, false },
		{ "sda", "/dev/sdx", NULL, false },
	};
	_free_ char *ours = lease("/vms/ds/a.qcow2", "__VIRTX__DISKS__");

	expect(disks, ours, wanted, ARRAY_SIZE(wanted));
}

static void
test_not_told(void **state)
{
	static const char disks[] =
	    DISK("disk", "file='/vms/ds/a.qcow2'", "", "vda", "ua-M_t_virtio__0")
		DISK("disk", "file='/vms/ds/own.raw'", "", "vdb", "ua-U_U_virtio__1")
		    DISK("disk", "file='/vms/ds/iso.raw'", "<readonly/>", "vdc", "virtio-disk2")
			DISK("cdrom", "file='/vms/ds/x.iso'", "", "sda", "ua-M_U_sata__0")
			    DISK("disk", "file='/srv/own.raw'", "", "vdd", "virtio-disk3")
				DISK("disk", "name='net'", "", "vde", "virtio-disk4");
	static const struct wanted others[] = { { "vda", "/vms/ds/a.qcow2", NULL, true } };
	_free_ char *ours = lease("/vms/ds/a.qcow2", "__VIRTX__DISKS__");
	_free_ char *theirs = lease("/vms/ds/a.qcow2", "another");

	expect(disks, ours, NULL, 0);
	expect(disks, theirs, others, 1);
	expect("", "", NULL, 0);
}

static void
test_no_domain(void **state)
{
	struct bare_disk *found = NULL;
	struct error err = { 0 };
	size_t n = 0;

	assert_int_equal(domain_bare_disks_read("<network/>", "/vms", &found, &n, &err), -1);
	assert_int_equal(err.status, 500);
	assert_int_equal(n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_no_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
