/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of the leases of disks and VMs. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proto/uuid.h"
#include "proto/vmdef_disks.h"

#define RESOURCE_NAME_MAX 48 /* SANLK_NAME_LEN */
#define LOCKSPACE_NAME	  "__VIRTX__DISKS__"
#define VM_PREFIX	  "vm-"

void
vm_lease_name(const char *uuid, char out[VM_LEASE_SIZE])
{
	snprintf(out, VM_LEASE_SIZE, VM_PREFIX "%s", uuid);
}

struct disk
vm_lease_disk(char *name)
{
	return (struct disk){
		.path = name,
		.device = DISK_DEVICE_DISK,
		.man = DISK_MAN_MODE_MANAGED,
	};
}

/* "vm-" and a uuid as we write them. */
static bool
is_vm_name(const char *text)
{
	char uuid[UUID_TEXT_SIZE];

	return text && strncmp(text, VM_PREFIX, strlen(VM_PREFIX)) == 0 &&
	       uuid_normalize(text + strlen(VM_PREFIX), uuid) == 0 &&
	       str_equal(text + strlen(VM_PREFIX), uuid);
}

bool
disk_is_vm_lease(const struct disk *disk)
{
	return disk->device == DISK_DEVICE_DISK && is_vm_name(disk->path);
}

const char *
disk_noun(const struct disk *disk)
{
	return disk_is_vm_lease(disk) ? "lease" : "disk";
}

/* The lower-case hex md5 of text. */
static int
md5_hex(const char *text, char out[RESOURCE_NAME_MAX + 1], struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len = 0;

	if (!EVP_Q_digest(NULL, "MD5", NULL, text, strlen(text), digest, &len))
		return error_set(err, 500, "OpenSSL offers no MD5, which names the leases");
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

static int
lun_name(const char *path, char out[RESOURCE_NAME_MAX + 1], struct error *err)
{
	static const struct {
		const char *prefix, *instead;
	} prefixes[] = {
		{ "dm-uuid-mpath-", "" }, { "scsi-", "" }, { "nvme-", "" },
		{ "wwn-0x", "3" }, /* so that all names of one LUN are equal */
	};
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *before = "";
	int len;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i].prefix);

		if (strncmp(name, prefixes[i].prefix, n) == 0) {
			name += n;
			before = prefixes[i].instead;
			break;
		}
	}
	if (!*name || str_equal(name, ".") || str_equal(name, "..") ||
	    str_equal(name, LOCKSPACE_NAME))
		return error_set(err, 400, "'%s' gives its lease no name", path);
	if (is_vm_name(name) && !*before)
		return error_set(err, 400, "'%s' gives its lease the name of a VM's own", path);
	len = snprintf(out, RESOURCE_NAME_MAX + 1, "%s%s", before, name);
	if (len > RESOURCE_NAME_MAX)
		return error_set(err, 400,
		    "'%s' gives its lease a name of %d bytes, and sanlock allows %d: name the LUN "
		    "by its WWID ('/dev/disk/by-id/wwn-...' or 'scsi-...')",
		    path, len, RESOURCE_NAME_MAX);
	return 0;
}

int
disk_resource_name(const struct disk *disk, const char *root, char out[49], struct error *err)
{
	_free_ char *store = xasprintf("%s/ds/", root);
	const char *path = str_or_empty(disk->path);
	size_t n = strlen(store);

	if (disk->device == DISK_DEVICE_LUN)
		return lun_name(path, out, err);
	if (disk_is_vm_lease(disk)) {
		snprintf(out, RESOURCE_NAME_MAX + 1, "%s", path);
		return 0;
	}
	return md5_hex(strncmp(path, store, n) == 0 && path[n] ? path + n : path, out, err);
}
