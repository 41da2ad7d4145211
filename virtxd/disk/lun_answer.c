/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/lun_answer.h"

#include <dirent.h>
#include <fcntl.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/vmdef.h"

#define INQUIRY	    0x12
#define PAGE	    0x83 /* device identification */
#define PAGE_MAX    1024
#define TIMEOUT_MS  5000
#define SENSE_MAX   32
#define HEAD	    4 /* bytes before the first designator, and of each one's own */
#define CODE_BINARY 1
#define TYPE_EUI64  2
#define TYPE_NAA    3
#define DIGITS_MIN  16 /* of both */
#define RUNNING	    "running"

/* In what a device says instead of an answer, and with it. */
#define SENSE_CODE	  0x7e
#define SENSE_FIXED	  0x70
#define SENSE_DESCRIPTORS 0x72
#define NO_SUCH_LUN	  0x25
#define QUALIFIER	  0xe0 /* not 0 where no LUN is behind the number */

/* Whether a resource is named by a WWID of one of these types, as udev writes it, and by no alias.
 */
static bool
is_wwid(const char *name)
{
	size_t digits = name[0] ? strspn(name + 1, "0123456789abcdefABCDEF") : 0;

	return (name[0] == '0' + TYPE_EUI64 || name[0] == '0' + TYPE_NAA) && digits >= DIGITS_MIN &&
	       !name[1 + digits];
}

/* A designator of the LUN, not of its port or target, in the same way; false for one of no such
 * type. */
static bool
write_wwid(const uint8_t *designator, size_t len, char wwid[LUN_WWID_SIZE])
{
	unsigned int code = designator[0] & 0x0f, type = designator[1] & 0x0f;
	unsigned int association = designator[1] >> 4 & 0x03;
	size_t n = 0;

	if (association != 0 || code != CODE_BINARY || (type != TYPE_EUI64 && type != TYPE_NAA) ||
	    len == 0 || 2 * len + 2 > LUN_WWID_SIZE)
		return false;
	n += (size_t)snprintf(wwid, LUN_WWID_SIZE, "%u", type);
	for (size_t i = 0; i < len; i++)
		n += (size_t)snprintf(wwid + n, LUN_WWID_SIZE - n, "%02x", designator[HEAD + i]);
	return true;
}

enum lun_answer
lun_answer_read(const uint8_t *page, size_t len, const char *name, char wwid[LUN_WWID_SIZE])
{
	enum lun_answer answer = LUN_ANSWER_NONE;
	size_t end;

	*wwid = '\0';
	if (len < HEAD || page[1] != PAGE || !is_wwid(name))
		return LUN_ANSWER_NONE;
	end = HEAD + ((size_t)page[2] << 8 | page[3]);
	if (end > len)
		end = len;
	for (size_t at = HEAD; at + HEAD <= end;) {
		const uint8_t *designator = page + at;
		size_t size = designator[3];
		char found[LUN_WWID_SIZE];

		at += HEAD + size;
		/* A LUN has designators of several types: those of the name's are what it is
		 * compared with. */
		if (at > end || !write_wwid(designator, size, found) || found[0] != name[0])
			continue;
		memcpy(wwid, found, sizeof(found));
		if (strcasecmp(found, name) == 0)
			return LUN_ANSWER_SAME;
		answer = LUN_ANSWER_OTHER;
	}
	return answer;
}

bool
lun_answer_is_none_there(const uint8_t *sense, size_t len)
{
	if (len > 2 && (sense[0] & SENSE_CODE) == SENSE_DESCRIPTORS)
		return sense[2] == NO_SUCH_LUN;
	return len > 12 && (sense[0] & SENSE_CODE) == SENSE_FIXED && sense[12] == NO_SUCH_LUN;
}

/* A SCSI disk: the LUN itself, or a path of it. */
struct path {
	char *sysfs; /* its folder there */
	char *node;
	uint8_t page[PAGE_MAX];
	size_t len; /* that it has given, 0 where it does not know the page */
	bool silent;
};

#define _path_ __attribute__((cleanup(path_clear)))

static void
path_clear(struct path *path)
{
	free(path->sysfs);
	free(path->node);
}

static bool
is_scsi(const struct path *path)
{
	_free_ char *file = xasprintf("%s/device/scsi_level", path->sysfs);

	return access(file, F_OK) == 0;
}

/* A path that is lost would keep the question until it is back. */
static bool
is_running(const struct path *path)
{
	_free_ char *file = xasprintf("%s/device/state", path->sysfs);
	_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	char state[sizeof(RUNNING)] = "";

	return fd >= 0 && read(fd, state, sizeof(state) - 1) > 0 &&
	       strncmp(state, RUNNING, strlen(RUNNING)) == 0;
}

static void
ask(struct path *path)
{
	uint8_t command[] = { INQUIRY, 1, PAGE, PAGE_MAX >> 8, PAGE_MAX & 0xff, 0 };
	uint8_t sense[SENSE_MAX];
	struct sg_io_hdr io = {
		.interface_id = 'S',
		.dxfer_direction = SG_DXFER_FROM_DEV,
		.cmdp = command,
		.cmd_len = sizeof(command),
		.dxferp = path->page,
		.dxfer_len = PAGE_MAX,
		.sbp = sense,
		.mx_sb_len = sizeof(sense),
		.timeout = TIMEOUT_MS,
	};
	_close_ int fd = -1;

	path->silent = true;
	if (!is_running(path))
		return;
	fd = open(path->node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, SG_IO, &io) < 0 || io.host_status != 0 ||
	    lun_answer_is_none_there(sense, io.sb_len_wr))
		return;
	if ((io.info & SG_INFO_OK_MASK) == SG_INFO_OK && io.resid >= 0 && io.resid <= PAGE_MAX)
		path->len = PAGE_MAX - (size_t)io.resid;
	path->silent = path->len > 0 && (path->page[0] & QUALIFIER) != 0;
}

/* Paths: all, those that can be asked, and those of them that do not answer. */
struct count {
	size_t all, asked, silent;
};

static int
confirm(struct path *path, const struct disk *disk, const char *name, struct count *count,
    struct error *err)
{
	char wwid[LUN_WWID_SIZE];

	count->all++;
	if (!is_scsi(path))
		return 0;
	ask(path);
	count->asked++;
	count->silent += path->silent;
	if (path->silent || lun_answer_read(path->page, path->len, name, wwid) != LUN_ANSWER_OTHER)
		return 0;
	return error_set(err, 422,
	    "lun '%s' is another one by now: the storage says that '%s' of this host, which was "
	    "'%s' when it was found, is '%s'; have the host look for its LUNs anew",
	    disk->path, path->node, name, wwid);
}

/* Each path of a mapped device. */
static int
confirm_paths(const char *sysfs, const struct disk *disk, const char *name, struct count *count,
    struct error *err)
{
	_free_ char *slaves = xasprintf("%s/slaves", sysfs);
	struct dirent *entry;
	DIR *dir = opendir(slaves);
	int r = 0;

	while (dir && r == 0 && (entry = readdir(dir))) {
		_path_ struct path path = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		path.sysfs = xasprintf("%s/%s", slaves, entry->d_name);
		path.node = xasprintf("/dev/%s", entry->d_name);
		r = confirm(&path, disk, name, count, err);
	}
	if (dir)
		closedir(dir);
	return r;
}

int
lun_confirm(const char *host, const struct disk *disk, dev_t device, struct error *err)
{
	_path_ struct path self = {
		.sysfs = xasprintf("%s/sys/dev/block/%u:%u", host, major(device), minor(device)),
		.node = xasprintf("/dev/block/%u:%u", major(device), minor(device)),
	};
	_free_ char *map = xasprintf("%s/dm", self.sysfs);
	struct count count = { 0 };
	struct error ignored = { 0 };
	char name[49];
	int r;

	if (disk_resource_name(disk, "", name, &ignored) < 0)
		return 0;
	r = access(map, F_OK) == 0 ? confirm_paths(self.sysfs, disk, name, &count, err)
				   : confirm(&self, disk, name, &count, err);
	if (r < 0 || count.silent < count.asked || count.asked < count.all)
		return r;
	return error_set(err, 507,
	    "lun '%s' does not answer this host by any path of it (there are %zu): the storage "
	    "cannot be reached, or has taken the LUN away",
	    disk->path, count.all);
}
