/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the host's own files and devices a domain's XML names. */
#ifndef DOMAIN_DOMAIN_FILES_H
#define DOMAIN_DOMAIN_FILES_H

#include "proto/error.h"

enum domain_file_kind {
	DOMAIN_FILE_DATA,      /* a file or directory that the guest reads or writes */
	DOMAIN_FILE_DEVICE,    /* a block device */
	DOMAIN_FILE_VARIABLES, /* of UEFI */
	DOMAIN_FILE_FIRMWARE,  /* a part of the installation */
	DOMAIN_FILE_STATE,     /* what QEMU sends along while the VM runs, and keeps here else */
	/* What is known on this host alone, as a device of its own: path is the type. */
	DOMAIN_FILE_OTHER,
};
struct domain_file {
	enum domain_file_kind kind;
	char *what; /* "disk 'vda'" */
	char *path;
	bool below; /* a disk stands on it, or is copied to it */
};

/* Where libvirt keeps the state of a VM's emulated TPM, below its UUID. */
#define DOMAIN_TPM_FOLDER "/var/lib/libvirt/swtpm"

/* All of them, backing files too; *ret is the caller's, for domain_files_free. 500 for XML that is
 * no domain's. */
int domain_files_read(const char *xml, struct domain_file **ret, size_t *n, struct error *err);
void domain_files_free(struct domain_file *files, size_t n);

#endif
