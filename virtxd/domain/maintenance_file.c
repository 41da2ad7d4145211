/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/maintenance_file.h"

#include "domain/store.h"
#include "proto/json.h"

#define NAME "maintenance"

/* Opens the host's directory; *path is the caller's. */
static int
open_place(
    const char *root, const char *host, bool make, bool *absent, char **path, struct error *err)
{
	char normal[37];

	*absent = false;
	if (store_check(host, "host", normal, err) < 0)
		return -1;
	*path = xasprintf("%s/xml/%s/" NAME, root, normal);
	return store_open(root, normal, make, absent, err);
}

int
maintenance_file_save(
    const char *root, const char *host, const struct maintenance *maintenance, struct error *err)
{
	_free_ char *path = NULL, *text = NULL;
	_close_ int dir = -1;
	bool absent;
	size_t len;

	dir = open_place(root, host, maintenance->since != 0, &absent, &path, err);
	if (absent)
		return 0;
	if (dir < 0)
		return -1;
	if (!maintenance->since)
		return store_remove(dir, NAME, path, err);
	text = json_encode(&maintenance_model, maintenance, &len);
	/* It could not be loaded again. */
	if (len > STORE_FILE_MAX)
		return error_set(
		    err, 507, "what '%s' shall hold is longer than %d bytes", path, STORE_FILE_MAX);
	return store_save(dir, NAME, text, len, path, err);
}

int
maintenance_file_load(
    const char *root, const char *host, struct maintenance *ret, struct error *err)
{
	_free_ char *path = NULL, *text = NULL;
	struct error cause = { 0 };
	_close_ int dir = -1;
	bool absent;
	size_t len;

	dir = open_place(root, host, false, &absent, &path, err);
	if (absent)
		return 0;
	if (dir < 0)
		return -1;
	if (store_load(dir, NAME, path, &text, &len, &cause) < 0) {
		if (cause.status == 404)
			return 0;
		*err = cause;
		return -1;
	}
	if (json_decode(&maintenance_model, text, len, ret, &cause) < 0)
		return error_set(err, 500, "'%s' is malformed: %s", path, cause.detail);
	/* That somebody made the file says enough. */
	if (ret->since <= 0)
		ret->since = now_ms();
	return 0;
}
