/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many leases a VM has, and the name of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/vmdef.h"

/* A VM with so many managed disks. */
static void
fill(struct vmdef *def, int disks)
{
	*def = (struct vmdef){ .name = xstrdup("web"),
		.cpudef = { xstrdup("maximum"), 0, 1, 1, 1 },
		.memory.total = 64,
		.osdisk = { .path = xstrdup("/vms/ds/os.raw"), .man = DISK_MAN_MODE_MANAGED } };
	for (int i = 1; i < disks; i++) {
		struct disk *disk = model_append(&def->disks, &def->n_disks);

		disk->path = xasprintf("/vms/ds/%d.raw", i);
		disk->man = DISK_MAN_MODE_MANAGED;
	}
}

/* One from before VMs had a lease of their own keeps what it has, and gets no more. */
static void
test_managed_disks_that_are_kept(void **state)
{
	static const struct {
		int had, wanted;
		bool ok;
	} rows[] = { { 7, 7, true }, { 7, 6, true }, { 6, 7, false }, { 7, 8, false },
		{ 8, 8, false }, { 8, 7, true } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmdef old, def;
		struct error err = { 0 };

		fill(&old, rows[i].had);
		fill(&def, rows[i].wanted);
		assert_int_equal(
		    vmdef_check_update(&def, &old, "/vms", "vmdef", &err), rows[i].ok ? 0 : -1);
		assert_true(rows[i].ok || strstr(err.detail, "managed disks, the osdisk counted"));
		model_clear(&vmdef_model, &old);
		model_clear(&vmdef_model, &def);
	}
}

/* The VM's own lease, as a disk and beside those of disks. */
static void
test_vm_lease(void **state)
{
	char name[VM_LEASE_SIZE], out[49];
	struct disk disk = vm_lease_disk(name);
	struct error err = { 0 };

	vm_lease_name("a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01", name);
	assert_string_equal(name, "vm-a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01");
	assert_true(disk_is_vm_lease(&disk));
	assert_string_equal(disk_noun(&disk), "lease");
	assert_int_equal(disk_resource_name(&disk, "/vms", out, &err), 0);
	assert_string_equal(out, name);
	disk.path = (char *)"/vms/ds/vm-a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01";
	assert_false(disk_is_vm_lease(&disk));
	assert_string_equal(disk_noun(&disk), "disk");
	assert_int_equal(disk_resource_name(&disk, "/vms", out, &err), 0);
	assert_int_equal(strlen(out), 32);
	disk.path = (char *)"vm-A4C1F2D0-1b2c-4d3e-8f4a-5b6c7d8e9f01";
	assert_false(disk_is_vm_lease(&disk));
	disk.path = NULL;
	assert_false(disk_is_vm_lease(&disk));
	/* No LUN takes it. */
	disk.device = DISK_DEVICE_LUN;
	disk.path = (char *)"/dev/disk/by-id/scsi-vm-a4c1f2d0-1b2c-4d3e-8f4a-5b6c7d8e9f01";
	assert_int_equal(disk_resource_name(&disk, "/vms", out, &err), -1);
	assert_non_null(strstr(err.detail, "the name of a VM's own"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_managed_disks_that_are_kept),
		cmocka_unit_test(test_vm_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
