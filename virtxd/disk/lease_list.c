/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which resources there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/lease.h"

/* Some thousands of VMs with 8 disks each, and then some. */
#define LIST_MAX 500000

#define _dir_ __attribute__((cleanup(dir_close)))

static void
dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* A resource is a directory; hidden ones are leftovers, the lockspace is a file. */
static bool
is_resource(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_name[0] == '.' || strlen(entry->d_name) >= LEASE_NAME_SIZE)
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

int
lease_list(const char *root, char (**ret)[LEASE_NAME_SIZE], size_t *n, struct error *err)
{
	_free_ char *path = xasprintf("%s/lock", root);
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	size_t count = 0, size = 0;
	_dir_ DIR *dir = NULL;
	struct dirent *entry;

	dir = opendir(path);
	if (!dir)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	while (errno = 0, (entry = readdir(dir))) {
		if (!is_resource(dir, entry))
			continue;
		if (count == LIST_MAX)
			return error_set(
			    err, 507, "there are more than %d resources in '%s'", LIST_MAX, path);
		if (count == size) {
			size = size ? 2 * size : 64;
			names = xrealloc(names, size, sizeof(*names));
		}
		memcpy(names[count++], entry->d_name, strlen(entry->d_name) + 1);
	}
	if (errno)
		return error_errno(err, 507, errno, "cannot read '%s'", path);
	*ret = steal_ptr(names);
	*n = count;
	return 0;
}
