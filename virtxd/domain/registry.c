/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM registry on shared storage. */
#include "domain/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "domain/store.h"
#include "proto/table.h"

#define SUFFIX	    ".xml"
#define LOCKID	    "lockid"
#define LOCKID_MAX  2000
#define NAME_FORMAT "%s" SUFFIX

/* One file of the registry: where it is and how it is called. */
struct place {
	char host[37];
	char uuid[37];
	char name[37 + sizeof(SUFFIX)];
	char *path; /* for messages */
};

#define _place_ __attribute__((cleanup(place_clear)))

static void
place_clear(struct place *place)
{
	free(place->path);
}

static int
place_init(
    struct place *place, const char *root, const char *host, const char *uuid, struct error *err)
{
	place->path = NULL;
	if (store_check(host, "host", place->host, err) < 0 ||
	    store_check(uuid, "VM", place->uuid, err) < 0)
		return -1;
	snprintf(place->name, sizeof(place->name), NAME_FORMAT, place->uuid);
	place->path = xasprintf("%s/xml/%s/%s", root, place->host, place->name);
	return 0;
}

/* The place, with its folder in *dir: 0, 1 where there is no such folder, or -1. */
static int
place_open(struct place *place, const char *root, const char *host, const char *uuid, int *dir,
    struct error *err)
{
	bool absent;

	if (place_init(place, root, host, uuid, err) < 0)
		return -1;
	*dir = store_open(root, place->host, false, &absent, err);
	if (absent)
		return 1;
	return *dir < 0 ? -1 : 0;
}

int
registry_save(
    const char *root, const char *host, const char *uuid, const char *xml, struct error *err)
{
	_place_ struct place place;
	_close_ int dir = -1;
	size_t len = strlen(xml);
	bool absent;

	if (place_init(&place, root, host, uuid, err) < 0)
		return -1;
	/* It could not be loaded again. */
	if (len > STORE_FILE_MAX)
		return error_set(err, 507, "the XML for '%s' is longer than %d bytes", place.path,
		    STORE_FILE_MAX);
	dir = store_open(root, place.host, true, &absent, err);
	return dir < 0 ? -1 : store_save(dir, place.name, xml, len, place.path, err);
}

int
registry_load(const char *root, const char *host, const char *uuid, char **ret, struct error *err)
{
	_place_ struct place place;
	_close_ int dir = -1;
	int r = place_open(&place, root, host, uuid, &dir, err);

	*ret = NULL;
	if (r != 0)
		return r < 0 ? -1 : 0;
	return store_load(dir, place.name, place.path, ret, NULL, err);
}

int
registry_open(const char *root, const char *host, bool *absent, struct error *err)
{
	char normal[37];

	*absent = false;
	if (store_check(host, "host", normal, err) < 0)
		return -1;
	return store_open(root, normal, false, absent, err);
}

int
registry_stat(int folder, const char *uuid, struct stat *ret, struct error *err)
{
	char normal[37], name[sizeof(normal) + sizeof(SUFFIX)];

	if (store_check(uuid, "VM", normal, err) < 0)
		return -1;
	snprintf(name, sizeof(name), NAME_FORMAT, normal);
	return store_stat(folder, name, name, ret, err);
}

int
registry_remove(const char *root, const char *host, const char *uuid, struct error *err)
{
	_place_ struct place place;
	_close_ int dir = -1;
	int r = place_open(&place, root, host, uuid, &dir, err);

	if (r != 0)
		return r < 0 ? -1 : 0;
	return store_remove(dir, place.name, place.path, err);
}

int
registry_move(
    const char *root, const char *from, const char *to, const char *uuid, struct error *err)
{
	_place_ struct place source, target = { .path = NULL };
	_close_ int source_dir = -1;
	_close_ int target_dir = -1;
	bool absent;
	int result;

	if (place_init(&source, root, from, uuid, err) < 0 ||
	    place_init(&target, root, to, uuid, err) < 0)
		return -1;
	source_dir = store_open(root, source.host, false, &absent, err);
	if (absent)
		return 1;
	if (source_dir < 0)
		return -1;
	target_dir = store_open(root, target.host, true, &absent, err);
	if (target_dir < 0)
		return -1;
	result = rename_at(source_dir, source.name, target_dir, source.name);
	if (result == -ENOENT)
		return 1;
	if (result < 0)
		return error_errno(
		    err, 507, -result, "cannot rename '%s' to '%s'", source.path, target.path);
	if (store_sync(target_dir, target.path, err) < 0)
		return -1;
	return store_sync(source_dir, source.path, err);
}

/* Appends the entries of one host. */
static int
list_host(
    const char *root, const char *host, struct registry_entry **ret, size_t *n, struct error *err)
{
	_free_ char *path = xasprintf("%s/xml/%s", root, host);
	_free_ char(*uuids)[37] = NULL;
	_close_ int dir = -1;
	size_t count = 0;
	bool absent;

	dir = store_open(root, host, false, &absent, err);
	if (absent)
		return 0;
	if (dir < 0 || store_list(dir, SUFFIX, path, &uuids, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct registry_entry *entry = model_append(ret, n);

		memcpy(entry->uuid, uuids[i], sizeof(entry->uuid));
		memcpy(entry->host, host, sizeof(entry->host));
	}
	return 0;
}

int
registry_hosts(const char *root, char (**ret)[37], size_t *n, struct error *err)
{
	_free_ char *path = xasprintf("%s/xml", root);
	_close_ int dir = -1;
	bool absent;

	*ret = NULL;
	*n = 0;
	dir = store_open(root, NULL, false, &absent, err);
	if (absent)
		return 0;
	return dir < 0 ? -1 : store_list(dir, "", path, ret, n, err);
}

int
registry_sweep(const char *root, const char *host, struct error *err)
{
	_free_ char *path = xasprintf("%s/xml/%s", root, host);
	_close_ int dir = -1;
	bool absent = false;

	dir = store_open(root, host, false, &absent, err);
	if (absent)
		return 0;
	return dir < 0 ? -1 : store_sweep(dir, path, err);
}

int
registry_list(
    const char *root, const char *host, struct registry_entry **ret, size_t *n, struct error *err)
{
	_free_ struct registry_entry *entries = NULL;
	_free_ char(*hosts)[37] = NULL;
	size_t n_hosts = 0, count = 0;
	char one[37];

	if (host) {
		if (store_check(host, "host", one, err) < 0)
			return -1;
		memcpy(*model_append(&hosts, &n_hosts), one, sizeof(one));
	} else if (registry_hosts(root, &hosts, &n_hosts, err) < 0) {
		return -1;
	}
	for (size_t i = 0; i < n_hosts; i++)
		if (list_host(root, hosts[i], &entries, &count, err) < 0)
			return -1;
	*ret = steal_ptr(entries);
	*n = count;
	return 0;
}

int
registry_find_other(
    const char *root, const char *except, const char *uuid, char host[37], struct error *err)
{
	_free_ char(*hosts)[37] = NULL;
	_free_ char *name = NULL;
	_close_ int top = -1;
	struct stat status;
	size_t n = 0;
	char normal[37];
	bool absent;

	host[0] = '\0';
	if (store_check(uuid, "VM", normal, err) < 0 || registry_hosts(root, &hosts, &n, err) < 0)
		return -1;
	top = store_open(root, NULL, false, &absent, err);
	if (top < 0 && !absent)
		return -1;
	for (size_t i = 0; i < n && top >= 0; i++) {
		if (except && strcmp(hosts[i], except) == 0)
			continue;
		free(name);
		name = xasprintf("%s/" NAME_FORMAT, hosts[i], normal);
		store_refresh(top, hosts[i]);
		if (fstatat(top, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT || errno == ENOTDIR)
				continue;
			return error_errno(
			    err, 507, errno, "cannot look for '%s/xml/%s'", root, name);
		}
		if (S_ISREG(status.st_mode)) {
			memcpy(host, hosts[i], sizeof(hosts[i]));
			return 0;
		}
	}
	return 0;
}

int
registry_find(const char *root, const char *uuid, char host[37], struct error *err)
{
	return registry_find_other(root, NULL, uuid, host, err);
}

int
registry_load_lockid(const char *root, const char *host, int *ret, struct error *err)
{
	_free_ char *path = NULL, *text = NULL;
	_close_ int dir = -1;
	char normal[37], *end;
	bool absent;
	long lockid;

	*ret = 0;
	if (store_check(host, "host", normal, err) < 0)
		return -1;
	path = xasprintf("%s/xml/%s/" LOCKID, root, normal);
	dir = store_open(root, normal, false, &absent, err);
	if (absent)
		return 0;
	if (dir < 0)
		return -1;
	if (store_load(dir, LOCKID, path, &text, NULL, err) < 0)
		return -1;
	if (!text)
		return 0;
	/* It is a cache: what is no number of ours is as good as none. */
	lockid = strtol(text, &end, 10);
	if (end != text && !end[strspn(end, " \n")] && lockid >= 1 && lockid <= LOCKID_MAX)
		*ret = (int)lockid;
	return 0;
}

int
registry_save_lockid(const char *root, const char *host, int lockid, struct error *err)
{
	_free_ char *path = NULL;
	_close_ int dir = -1;
	char normal[37], text[16];
	bool absent;

	if (store_check(host, "host", normal, err) < 0)
		return -1;
	if (lockid < 1 || lockid > LOCKID_MAX)
		return error_set(err, 400, "the lock id %d is not in 1..%d", lockid, LOCKID_MAX);
	path = xasprintf("%s/xml/%s/" LOCKID, root, normal);
	dir = store_open(root, normal, true, &absent, err);
	if (dir < 0)
		return -1;
	snprintf(text, sizeof(text), "%d\n", lockid);
	return store_save(dir, LOCKID, text, strlen(text), path, err);
}
