/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/lun_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk/lun_answer.h"
#include "disk/path.h"
#include "proto/table.h"
#include "proto/vmdef.h"

#define BY_ID	 "/dev/disk/by-id/"
#define MAPPER	 "/dev/mapper/"
#define MPATH	 "mpath-"
#define FILE_MAX ((size_t)64 << 10)

/* A LUN has a few names of each kind. */
#define LEASES_MAX 64

/* What udev found out about a device; "" for what it did not. */
struct properties {
	char bus[32];
	char serial[128];
	char wwn[128];
	char wwn_extended[128];
};

/* A small file without its last newline; false where there is none. */
static bool
read_file(const char *path, struct buffer *text)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || read_all(fd, text, FILE_MAX) < 0 || !text->data)
		return false;
	while (text->len > 0 && text->data[text->len - 1] == '\n')
		text->data[--text->len] = '\0';
	return true;
}

/* A file of the device in sysfs. */
static bool
read_attribute(const char *host, dev_t device, const char *name, struct buffer *text)
{
	_free_ char *path =
	    xasprintf("%s/sys/dev/block/%u:%u/%s", host, major(device), minor(device), name);

	return read_file(path, text);
}

/* What udev knows of a device; false where it has no file of it. */
static bool
read_udev(const char *host, dev_t device, struct buffer *text)
{
	_free_ char *path =
	    xasprintf("%s/run/udev/data/b%u:%u", host, major(device), minor(device));

	return read_file(path, text);
}

/* udev's database: lines of "E:NAME=VALUE" among others. */
static void
read_properties(const char *host, dev_t device, struct properties *ret)
{
	const struct {
		const char *name;
		char *value;
		size_t size;
	} wanted[] = {
		{ "E:ID_BUS=", ret->bus, sizeof(ret->bus) },
		{ "E:ID_SERIAL=", ret->serial, sizeof(ret->serial) },
		{ "E:ID_WWN=", ret->wwn, sizeof(ret->wwn) },
		{ "E:ID_WWN_WITH_EXTENSION=", ret->wwn_extended, sizeof(ret->wwn_extended) },
	};
	_buffer_ struct buffer text = { 0 };
	char *rest = NULL;

	*ret = (struct properties){ 0 };
	if (!read_udev(host, device, &text))
		return;
	for (char *line = strtok_r(text.data, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
			size_t n = strlen(wanted[i].name);

			if (strncmp(line, wanted[i].name, n) == 0 &&
			    strlen(line + n) < wanted[i].size)
				memcpy(wanted[i].value, line + n, strlen(line + n) + 1);
		}
	}
}

/* The last component of the name under /dev/disk/by-id that udev gives it, of the most exact kind;
 * NULL where it knows no WWID. The caller's. */
static char *
udev_name(const char *host, dev_t device)
{
	struct properties found;
	const char *wwn;

	read_properties(host, device, &found);
	wwn = *found.wwn_extended ? found.wwn_extended : found.wwn;
	if (strchr(found.serial, '/') || strchr(wwn, '/') || strchr(found.bus, '/'))
		return NULL;
	if (strcmp(found.bus, "scsi") == 0 && *found.serial)
		return xasprintf("scsi-%s", found.serial);
	if (strncmp(wwn, "0x", 2) == 0)
		return xasprintf("wwn-%s", wwn);
	if (*wwn)
		return xasprintf("nvme-%s", wwn);
	if (*found.serial)
		return xasprintf("%s-%s", *found.bus ? found.bus : "virtio", found.serial);
	return NULL;
}

static int
find_device(const char *host, const struct disk *disk, dev_t *ret, struct error *err)
{
	_free_ char *path = xasprintf("%s%s", host, disk->path);
	struct stat st;

	if (stat(path, &st) < 0)
		return error_errno(
		    err, errno == ENOENT ? 404 : 507, errno, "cannot open lun '%s'", disk->path);
	if (!S_ISBLK(st.st_mode))
		return error_set(err, 422, "lun '%s' is no block device but %s", disk->path,
		    path_kind(st.st_mode));
	*ret = st.st_rdev;
	return 0;
}

/* The name of a device that is no partition, or NULL; a mapped one is a LUN where multipath made
 * it.
 */
static char *
whole_name(const char *host, dev_t device)
{
	_buffer_ struct buffer uuid = { 0 };

	if (!read_attribute(host, device, "dm/uuid", &uuid))
		return udev_name(host, device);
	return strncmp(uuid.data, MPATH, strlen(MPATH)) == 0 && !strchr(uuid.data, '/')
		   ? xasprintf("dm-uuid-%s", uuid.data)
		   : NULL;
}

static int
refuse_partition(const char *host, dev_t device, const struct disk *disk, struct error *err)
{
	_buffer_ struct buffer parent = { 0 };
	_free_ char *name = NULL;
	unsigned int ma, mi;

	if (read_attribute(host, device, "../dev", &parent) &&
	    sscanf(parent.data, "%u:%u", &ma, &mi) == 2)
		name = whole_name(host, makedev(ma, mi));
	return error_set(err, 422,
	    "lun '%s' is a partition, which another VM may have with the whole LUN: use '%s%s'",
	    disk->path, BY_ID, name ? name : "...");
}

int
lun_identify(
    const char *host, const struct disk *disk, char **by_id, char lease[49], struct error *err)
{
	_buffer_ struct buffer partition = { 0 }, uuid = { 0 };
	_free_ char *name = NULL, *path = NULL;
	struct disk lun = { .device = DISK_DEVICE_LUN };
	dev_t device = 0;

	if (find_device(host, disk, &device, err) < 0)
		return -1;
	if (read_attribute(host, device, "partition", &partition))
		return refuse_partition(host, device, disk, err);
	name = whole_name(host, device);
	if (!name && read_attribute(host, device, "dm/uuid", &uuid))
		return error_set(err, 422,
		    "lun '%s' is no LUN but a mapped device ('%s') of this host", disk->path,
		    uuid.data);
	if (!name)
		return error_set(err, 422,
		    "lun '%s' cannot be told from others: this host's udev knows no WWID of it",
		    disk->path);
	path = xasprintf("%s%s", BY_ID, name);
	lun.path = path;
	if (disk_resource_name(&lun, "", lease, err) < 0)
		return error_wrap(err, "lun '%s'", disk->path);
	*by_id = steal_ptr(path);
	return 0;
}

struct leases {
	char (*names)[49];
	size_t n;
};

/* The resource of a LUN by this path, unless it is there already or the path gives none. */
static void
add_lease(struct leases *leases, const char *dir, const char *name)
{
	_free_ char *path = xasprintf("%s%s", dir, name);
	struct disk disk = { .path = path, .device = DISK_DEVICE_LUN };
	struct error ignored = { 0 };
	char lease[49];

	if (leases->n == LEASES_MAX || disk_resource_name(&disk, "", lease, &ignored) < 0)
		return;
	for (size_t i = 0; i < leases->n; i++) {
		if (strcmp(leases->names[i], lease) == 0)
			return;
	}
	memcpy(model_append(&leases->names, &leases->n), lease, sizeof(lease));
}

/* udev's database: lines of "S:LINK", relative to /dev, among others. */
static void
add_links(const char *host, dev_t device, struct leases *leases)
{
	static const char by_id[] = "S:disk/by-id/";
	_buffer_ struct buffer text = { 0 };
	char *rest = NULL;

	if (!read_udev(host, device, &text))
		return;
	for (char *line = strtok_r(text.data, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, by_id, strlen(by_id)) == 0)
			add_lease(leases, BY_ID, line + strlen(by_id));
	}
}

int
lun_leases(
    const char *host, const struct disk *disk, char (**ret)[49], size_t *n, struct error *err)
{
	_buffer_ struct buffer map = { 0 };
	struct leases leases = { 0 };
	_free_ char *by_id = NULL;
	char lease[49];
	dev_t device = 0;

	if (lun_identify(host, disk, &by_id, lease, err) < 0 ||
	    find_device(host, disk, &device, err) < 0)
		return -1;
	add_lease(&leases, "", by_id);
	if (read_attribute(host, device, "dm/name", &map))
		add_lease(&leases, MAPPER, map.data);
	add_links(host, device, &leases);
	*ret = leases.names;
	*n = leases.n;
	return 0;
}

/* A name by WWID, whoever made it. */
static bool
is_by_wwid(const char *path)
{
	return strncmp(path, BY_ID, strlen(BY_ID)) == 0 ||
	       strncmp(path, MAPPER, strlen(MAPPER)) == 0;
}

int
lun_check_path(const char *host, const struct disk *disk, char lease[49], struct error *err)
{
	_free_ char *by_id = NULL;
	struct error ignored = { 0 };
	dev_t device = 0;
	char named[49];

	if (lun_identify(host, disk, &by_id, lease, err) < 0 ||
	    find_device(host, disk, &device, err) < 0)
		return -1;
	if (is_by_wwid(disk->path) && disk_resource_name(disk, "", named, &ignored) == 0 &&
	    strcmp(named, lease) == 0)
		return lun_confirm(host, disk, device, err);
	return error_set(err, 422, "lun '%s' need not be the same LUN on every host: use '%s'",
	    disk->path, by_id);
}
