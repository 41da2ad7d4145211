/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of domain_files.c: all that a domain's XML names is found, and told for what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/domain_files.h"

static void
test_all_kinds(void **state)
{
	static const char xml[] =
	    "<domain type='kvm'><os><type>hvm</type>"
	    "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
	    "<nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/var/lib/x_VARS.fd</nvram>"
	    "<kernel>/boot/vmlinuz</kernel><initrd>/boot/initrd</initrd><dtb>/boot/dtb</dtb></os>"
	    "<devices>"
	    "<disk type='file' device='disk'><source file='/vms/ds/a.qcow2'/>"
	    "<backingStore type='file'><format type='raw'/><source file='/tmp/base'/>"
	    "<backingStore type='block'><source dev='/dev/sdb'/><backingStore/></backingStore>"
	    "</backingStore><mirror type='file'><source file='/tmp/copy'/></mirror>"
	    "<target dev='vda'/></disk>"
	    "<disk type='block' device='lun'><source dev='/dev/disk/by-id/x'/><target dev='sda'/>"
	    "</disk>"
	    "<disk type='file' device='cdrom'><target dev='sdb'/></disk>"
	    "<disk type='dir' device='floppy'><source dir='/srv/fat'/><target dev='fda'/></disk>"
	    "<disk type='network' device='disk'><source protocol='rbd' name='a'/>"
	    "<target dev='vdb'/></disk>"
	    "<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdc'/>"
	    "</disk></devices></domain>";
	static const struct {
		enum domain_file_kind kind;
		const char *what, *path;
	} wanted[] = {
		{ DOMAIN_FILE_FIRMWARE, "firmware", "/usr/share/OVMF/OVMF_CODE.fd" },
		{ DOMAIN_FILE_VARIABLES, "UEFI variables", "/var/lib/x_VARS.fd" },
		{ DOMAIN_FILE_DATA, "kernel", "/boot/vmlinuz" },
		{ DOMAIN_FILE_DATA, "initrd", "/boot/initrd" },
		{ DOMAIN_FILE_DATA, "device tree", "/boot/dtb" },
		{ DOMAIN_FILE_DATA, "disk 'vda'", "/vms/ds/a.qcow2" },
		{ DOMAIN_FILE_DATA, "backingStore of disk 'vda'", "/tmp/base" },
		{ DOMAIN_FILE_DEVICE, "backingStore of backingStore of disk 'vda'", "/dev/sdb" },
		{ DOMAIN_FILE_DATA, "mirror of disk 'vda'", "/tmp/copy" },
		{ DOMAIN_FILE_DEVICE, "disk 'sda'", "/dev/disk/by-id/x" },
		{ DOMAIN_FILE_DATA, "disk 'fda'", "/srv/fat" },
		{ DOMAIN_FILE_OTHER, "disk 'vdc'", "volume" },
	};
	struct domain_file *files = NULL;
	struct error err = { 0 };
	size_t n = 0;

	if (domain_files_read(xml, &files, &n, &err) < 0)
		fail_msg("%s", err.detail);
	assert_int_equal(n, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(files[i].what, wanted[i].what);
		assert_string_equal(files[i].path, wanted[i].path);
		assert_int_equal(files[i].kind, wanted[i].kind);
		assert_int_equal(files[i].below, strstr(files[i].what, " of disk") != NULL);
	}
	domain_files_free(files, n);
}

static void
test_none(void **state)
{
	struct domain_file *files = NULL;
	struct error err = { 0 };
	size_t n = 7;

	assert_int_equal(domain_files_read("<domain/>", &files, &n, &err), 0);
	assert_int_equal(n, 0);
	domain_files_free(files, n);
	assert_int_equal(domain_files_read("<network/>", &files, &n, &err), -1);
	assert_int_equal(err.status, 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
