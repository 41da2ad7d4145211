/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/store.h"
#include "proto/uuid.h"

static char *
marker_path(const char *root)
{
	return xasprintf("%s/xml/" STORE_MARKER, root);
}

/* The file in the directory dir, which is ROOT/xml. */
static int
load(int dir, const char *path, struct marker *ret, struct error *err)
{
	_free_ char *text = NULL;
	struct stat status;

	if (store_load(dir, STORE_MARKER, path, &text, NULL, err) < 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	if (uuid_normalize(text, ret->uuid) < 0)
		return error_set(err, 507, "'%s' holds no uuid", path);
	if (fstatat(dir, STORE_MARKER, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, 507, errno, "cannot look at '%s'", path);
	ret->device = status.st_dev;
	ret->inode = status.st_ino;
	return 0;
}

int
marker_load(const char *root, struct marker *ret, struct error *err)
{
	_free_ char *path = marker_path(root);
	struct error cause = { 0 };
	_close_ int dir = -1;
	bool absent = false;

	dir = store_open(root, NULL, false, &absent, &cause);
	if (dir >= 0 && load(dir, path, ret, &cause) == 0)
		return 0;
	if (absent || cause.status == 404)
		return store_no_marker(root, err);
	*err = cause;
	err->status = 503;
	return -1;
}

/* Only a whole one ever appears, and only the first. */
static int
publish(int dir, const char *path, struct error *err)
{
	_free_ char *temporary = xasprintf("." STORE_MARKER ".%ld", (long)getpid());
	char uuid[UUID_TEXT_SIZE + 1];
	int r = 0;

	uuid_make(uuid);
	strcat(uuid, "\n");
	if (store_save(dir, temporary, uuid, strlen(uuid), path, err) < 0)
		return -1;
	if (linkat(dir, temporary, dir, STORE_MARKER, 0) < 0 && errno != EEXIST)
		r = error_errno(err, 507, errno, "cannot make '%s'", path);
	unlinkat(dir, temporary, 0);
	return r < 0 ? r : store_sync(dir, path, err);
}

int
marker_make(const char *root, struct marker *ret, struct error *err)
{
	_free_ char *path = marker_path(root);
	struct error cause = { 0 };
	_close_ int dir = -1;
	bool absent;

	dir = store_open(root, NULL, true, &absent, err);
	if (dir < 0)
		return -1;
	if (load(dir, path, ret, &cause) == 0)
		return 0;
	if (cause.status != 404) {
		*err = cause;
		return -1;
	}
	return publish(dir, path, err) < 0 ? -1 : load(dir, path, ret, err);
}
