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

/* What is no disk, and keeps a VM where it is. */
static void
test_devices(void **state)
{
	static const char xml[] =
	    "<domain type='kvm'><uuid>0be7a710-2222-3333-4444-555555555555</uuid>"
	    "<os><acpi><table type='slic'>/srv/slic</table></acpi></os>"
	    "<sysinfo type='smbios'><bios><entry name='vendor'>x</entry></bios></sysinfo>"
	    "<sysinfo type='fwcfg'><entry name='opt/a' file='/srv/a'/><entry name='opt/b'>b</entry>"
	    "</sysinfo><devices>"
	    "<filesystem><source dir='/srv/old'/><target dir='old'/></filesystem>"
	    "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/data'/>"
	    "<target dir='data'/></filesystem>"
	    "<filesystem type='mount'><source socket='/run/fs.sock'/><target dir='sock'/>"
	    "</filesystem>"
	    "<filesystem type='block'><source dev='/dev/sdc'/><target dir='blk'/></filesystem>"
	    "<filesystem type='ram'><source usage='1'/><target dir='ram'/></filesystem>"
	    "<filesystem type='template'><source name='t'/><target dir='tpl'/></filesystem>"
	    "<memory model='dimm'><source><pagesize>4</pagesize></source></memory>"
	    "<memory model='nvdimm'><source><path>/srv/pmem</path></source></memory>"
	    "<pstore backend='acpi-erst'><path>/srv/pstore</path></pstore>"
	    "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
	    "<tpm model='tpm-crb'><backend type='emulator'><source type='dir' path='/vms/tpm'/>"
	    "</backend></tpm>"
	    "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend>"
	    "</tpm>"
	    "<hostdev mode='subsystem' type='usb'/><hostdev mode='capabilities' type='misc'/>"
	    "<interface type='bridge'/><interface type='hostdev'/><interface type='vdpa'/>"
	    "<input type='tablet'/><input type='evdev'/><smartcard mode='host'/>"
	    "<smartcard mode='passthrough' type='spicevmc'/>"
	    "<serial type='pty'/><serial type='dev'><source path='/dev/ttyS0'/></serial>"
	    "<parallel type='dev'/></devices></domain>";
	static const struct {
		enum domain_file_kind kind;
		const char *what, *path;
	} wanted[] = {
		{ DOMAIN_FILE_DATA, "folder 'old'", "/srv/old" },
		{ DOMAIN_FILE_DATA, "folder 'data'", "/srv/data" },
		{ DOMAIN_FILE_DATA, "folder 'sock'", "/run/fs.sock" },
		{ DOMAIN_FILE_DEVICE, "folder 'blk'", "/dev/sdc" },
		{ DOMAIN_FILE_OTHER, "folder 'tpl'", "template" },
		{ DOMAIN_FILE_DATA, "persistent memory", "/srv/pmem" },
		{ DOMAIN_FILE_DATA, "pstore", "/srv/pstore" },
		{ DOMAIN_FILE_STATE, "TPM",
		    "/var/lib/libvirt/swtpm/0be7a710-2222-3333-4444-555555555555" },
		{ DOMAIN_FILE_DATA, "TPM", "/vms/tpm" },
		{ DOMAIN_FILE_OTHER, "TPM", "passthrough" },
		{ DOMAIN_FILE_OTHER, "host device", "usb" },
		{ DOMAIN_FILE_OTHER, "host device", "misc" },
		{ DOMAIN_FILE_OTHER, "interface", "hostdev" },
		{ DOMAIN_FILE_OTHER, "interface", "vdpa" },
		{ DOMAIN_FILE_OTHER, "input", "evdev" },
		{ DOMAIN_FILE_OTHER, "smartcard", "host" },
		{ DOMAIN_FILE_OTHER, "serial port", "dev" },
		{ DOMAIN_FILE_OTHER, "parallel port", "dev" },
		{ DOMAIN_FILE_DATA, "ACPI table", "/srv/slic" },
		{ DOMAIN_FILE_DATA, "firmware setting", "/srv/a" },
	};
	struct domain_file *files = NULL;
	struct error err = { 0 };
	size_t n = 0;

	if (domain_files_read(xml, &files, &n, &err) < 0)
		fail_msg("%s", err.detail);
	for (size_t i = 0; i < n && i < ARRAY_SIZE(wanted); i++) {
		assert_string_equal(files[i].what, wanted[i].what);
		assert_string_equal(files[i].path, wanted[i].path);
		assert_int_equal(files[i].kind, wanted[i].kind);
		assert_false(files[i].below);
	}
	assert_int_equal(n, ARRAY_SIZE(wanted));
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
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
