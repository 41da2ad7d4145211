/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which resources there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/lease.h"
#include "proto/table.h"
#include "proto/uuid.h"

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

/* Reads ".NAME.UUID" and ".NAME.UUID.deleted". */
static bool
parse_leftover(const char *text, struct lease_leftover *ret)
{
	static const char suffix[] = ".deleted";
	size_t len = strlen(text), suffix_len = strlen(suffix);
	char uuid[37] = "";

	*ret = (struct lease_leftover){ 0 };
	if (len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0) {
		ret->deleted = true;
		len -= suffix_len;
	}
	if (len < 1 + 1 + 1 + 36 || len > 1 + (LEASE_NAME_SIZE - 1) + 1 + 36 || text[0] != '.' ||
	    text[len - 37] != '.')
		return false;
	memcpy(uuid, text + len - 36, 36);
	if (uuid_normalize(uuid, ret->uuid) < 0 || strcmp(uuid, ret->uuid) != 0)
		return false;
	memcpy(ret->name, text + 1, len - 38);
	return ret->name[0] != '.';
}

char *
lease_leftover_path(const char *root, const struct lease_leftover *leftover)
{
	return xasprintf("%s/lock/.%s.%s%s", root, leftover->name, leftover->uuid,
	    leftover->deleted ? ".deleted" : "");
}

int
lease_list_leftovers(const char *root, struct lease_leftover **ret, size_t *n, struct error *err)
{
	_free_ char *path = xasprintf("%s/lock", root);
	_free_ struct lease_leftover *list = NULL;
	_dir_ DIR *dir = NULL;
	struct dirent *entry;
	size_t count = 0;

	dir = opendir(path);
	if (!dir)
		return error_errno(err, 507, errno, "cannot open '%s'", path);
	while (errno = 0, (entry = readdir(dir))) {
		struct lease_leftover leftover;

		if (!parse_leftover(entry->d_name, &leftover))
			continue;
		if (count == LIST_MAX)
			return error_set(
			    err, 507, "there are more than %d leftovers in '%s'", LIST_MAX, path);
		*model_append(&list, &count) = leftover;
	}
	if (errno)
		return error_errno(err, 507, errno, "cannot read '%s'", path);
	*ret = steal_ptr(list);
	*n = count;
	return 0;
}
