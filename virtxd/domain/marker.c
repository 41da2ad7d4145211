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

#define FOLDER "%s/xml"

int
marker_read(int dir, const char *folder, struct marker *ret, struct error *err)
{
	_free_ char *path = xasprintf("%s/" STORE_MARKER, folder);
	_free_ char *text = NULL;

	if (store_load(dir, STORE_MARKER, path, &text, NULL, err) < 0)
		return -1;
	ret->uuid[0] = '\0';
	if (!text)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	if (uuid_normalize(text, ret->uuid) < 0)
		return error_set(err, 507,
		    "'%s' is damaged, it holds no uuid: each folder of the storage (xml, ds, "
		    "nvram) has a file of this name with the same uuid; write that of another "
		    "folder over it with `cp`",
		    path);
	return 0;
}

int
marker_load(const char *root, struct marker *ret, struct error *err)
{
	_free_ char *folder = xasprintf(FOLDER, root);
	_close_ int dir = -1;
	bool absent = false;

	dir = store_open(root, NULL, false, &absent, err);
	if (absent)
		return store_no_marker(root, err);
	if (dir < 0 || marker_read(dir, folder, ret, err) < 0) {
		err->status = 503;
		return -1;
	}
	return ret->uuid[0] ? 0 : store_no_marker(root, err);
}

/* Only a whole one ever appears, and only the first. */
static int
publish(int dir, const char *folder, const char *uuid, struct error *err)
{
	_free_ char *path = xasprintf("%s/" STORE_MARKER, folder);
	_free_ char *temporary = xasprintf("." STORE_MARKER ".%ld", (long)getpid());
	_free_ char *text = xasprintf("%s\n", uuid);
	int r = 0;

	if (store_save(dir, temporary, text, strlen(text), path, err) < 0)
		return -1;
	if (linkat(dir, temporary, dir, STORE_MARKER, 0) < 0 && errno != EEXIST)
		r = error_errno(err, 507, errno, "cannot make '%s'", path);
	unlinkat(dir, temporary, 0);
	return r < 0 ? r : store_sync(dir, path, err);
}

int
marker_put(int dir, const char *folder, const char *uuid, struct marker *ret, struct error *err)
{
	if (marker_read(dir, folder, ret, err) < 0)
		return -1;
	if (ret->uuid[0])
		return 0;
	if (publish(dir, folder, uuid, err) < 0 || marker_read(dir, folder, ret, err) < 0)
		return -1;
	if (!ret->uuid[0])
		return error_set(err, 507, "the marker of '%s' was removed just now", folder);
	return 0;
}

int
marker_make(const char *root, const char *uuid, struct marker *ret, struct error *err)
{
	_free_ char *folder = xasprintf(FOLDER, root);
	char made[UUID_TEXT_SIZE];
	_close_ int dir = -1;
	bool absent;

	dir = store_open(root, NULL, true, &absent, err);
	if (dir < 0)
		return -1;
	uuid_make(made);
	return marker_put(dir, folder, *uuid ? uuid : made, ret, err);
}
