/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/nvram.h"
#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/identity.h"
#include "work/oplog.h"

#define DS    "ds"
#define NVRAM "nvram"

/* What the registry's VMs have in a folder. */
struct tally {
	size_t named, there;
	size_t lost;   /* of those that are not there: its VM has run with it */
	char *missing; /* one of them, the caller's */
};

struct folder {
	const char *name;
	bool at_need; /* virtxd makes it, beside the registry, when the first VM needs it */
	/* Looks for what the VM has in the folder that is opened as dir. */
	void (*count)(const struct work_env *env, int dir, const struct domain_info *info,
	    struct tally *tally);
};

/* An opened folder. */
struct view {
	const struct work_env *env;
	const struct folder *folder;
	char *path;
	int dir;    /* -1: it is not there */
	bool local; /* on the root's own device, which is not the registry's */
	bool near;  /* on the registry's device */
};

#define _view_ __attribute__((cleanup(view_clear)))
static void
view_clear(struct view *view)
{
	util_close(&view->dir);
	free(view->path);
}

static bool
count_file(int dir, const char *name, const char *path, struct tally *tally)
{
	struct stat st;

	tally->named++;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
		tally->there++;
		return true;
	}
	if (!tally->missing)
		tally->missing = xstrdup(path);
	return false;
}

/* CDs come and go. */
static void
count_images(
    const struct work_env *env, int dir, const struct domain_info *info, struct tally *tally)
{
	_free_ char *store = xasprintf("%s/" DS "/", env->root);
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(&info->def, i)); i++) {
		if (disk->device == DISK_DEVICE_DISK && !str_empty(disk->path) &&
		    strncmp(disk->path, store, strlen(store)) == 0)
			count_file(dir, disk->path + strlen(store), disk->path, tally);
	}
}

/* One that was never booted has none yet. */
static void
count_variables(
    const struct work_env *env, int dir, const struct domain_info *info, struct tally *tally)
{
	_free_ char *path = nvram_path(env->root, info->uuid);

	if (info->def.firmware == FIRMWARE_TYPE_UEFI &&
	    !count_file(dir, strrchr(path, '/') + 1, path, tally) &&
	    str_equal(info->variables, path) && oplog_was_on(&info->oplog))
		tally->lost++;
}

static const struct folder folders[] = {
	{ DS, false, count_images },
	{ NVRAM, true, count_variables },
};

static int
open_view(
    const struct work_env *env, const struct folder *folder, struct view *ret, struct error *err)
{
	_free_ char *registry = xasprintf("%s/xml", env->root);
	struct stat root_st, xml_st, st;

	*ret = (struct view){ .env = env,
		.folder = folder,
		.path = xasprintf("%s/%s", env->root, folder->name),
		.dir = -1 };
	if (stat(env->root, &root_st) < 0 || stat(registry, &xml_st) < 0)
		return error_errno(err, 503, errno, "cannot look at '%s'", registry);
	ret->dir = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((ret->dir < 0 && errno != ENOENT) || (ret->dir >= 0 && fstat(ret->dir, &st) < 0))
		return error_errno(err, 503, errno, "cannot open the folder '%s'", ret->path);
	if (ret->dir < 0)
		st = root_st;
	ret->local = st.st_dev == root_st.st_dev && xml_st.st_dev != root_st.st_dev;
	ret->near = st.st_dev == xml_st.st_dev;
	return 0;
}

/* That something else is in its place, or nothing. */
static int
tell_absent(const struct view *view, const struct marker *storage, struct error *err)
{
	const char *there = view->dir < 0 ? "nothing"
			    : view->local ? "the local folder that it is mounted on"
					  : "a folder without its marker";

	error_set(err, 503, "the folder '%s' of storage '%s' is not mounted: there is %s; mount it",
	    view->path, storage->uuid, there);
	if (view->dir < 0 && !view->local)
		error_append(err, "`virtx storage init` makes it where there has never been one");
	return -1;
}

static int
tell_other(const struct view *view, const struct marker *storage, const struct marker *marker,
    struct error *err)
{
	return error_set(err, 503,
	    "the folder at '%s' is of storage '%s', and that under '%s' is '%s': mount its own, or "
	    "remove the file '.virtx-storage' in it and run `virtx storage init` where it is to be "
	    "of that one from now on",
	    view->path, marker->uuid, view->env->root, storage->uuid);
}

/* A VM whose definition cannot be read tells nothing. */
static int
count(const struct view *view, struct tally *tally, struct error *err)
{
	_free_ struct registry_entry *entries = NULL;
	const char *root = view->env->root;
	size_t n = 0;

	if (registry_list(root, NULL, &entries, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_domain_info_ struct domain_info info = { 0 };
		_free_ char *xml = NULL;
		struct error ignored = { 0 };

		if (registry_load(root, entries[i].host, entries[i].uuid, &xml, &ignored) == 0 &&
		    xml && domain_xml_read(xml, root, &info, &ignored) == 0)
			view->folder->count(view->env, view->dir, &info, tally);
	}
	return 0;
}

/*
 * Whether an unmarked folder is the storage's by what is in it. An empty one proves nothing. In the
 * place of ds some images may have been made while it was not mounted, so that all must be there;
 * nvram is where virtxd makes it, which may also be what it is mounted on if a VM that has run has
 * none there; or has variables of some VM.
 */
static int
prove(const struct view *view, const struct marker *storage, struct error *err)
{
	struct tally tally = { 0 };
	_free_ char *missing = NULL;

	if (count(view, &tally, err) < 0)
		return -1;
	missing = tally.missing;
	if (view->folder->at_need && view->near && tally.lost == 0)
		return 0;
	if (tally.there > 0 && (view->folder->at_need || tally.there == tally.named))
		return 0;
	return error_set(err, 503,
	    "the folder '%s' has no marker '.virtx-storage' of storage '%s', and what is in it "
	    "does not prove that it is mounted: of %zu files that the registry names it has "
	    "%zu%s%s; "
	    "mount it, or run `virtx storage init` once where it is mounted",
	    view->path, storage->uuid, tally.named, tally.there, missing ? ", and not " : "",
	    str_or_empty(missing));
}

/* One without a marker; kept: of what this host has used until now it is known which it was. */
static int
adopt(const struct view *view, const struct marker *storage, bool joined, bool kept,
    const char *identity, struct error *err)
{
	struct error cause = { 0 };
	struct marker marker;

	if (view->local)
		return tell_absent(view, storage, err);
	if (kept && identity_check(view->env, view->folder->name, identity, err) < 0)
		return tell_absent(view, storage, err);
	if (!kept && prove(view, storage, err) < 0)
		return -1;
	if (!joined)
		return 0;
	/* What is proved is so without room for a marker, too. */
	if (marker_put(view->dir, view->path, storage->uuid, &marker, &cause) < 0)
		log_warning("storage", "%s", cause.detail);
	else
		log_info("storage", "'%s' is of storage '%s', and has its marker now", view->path,
		    storage->uuid);
	return identity_keep(view->env, view->folder->name, identity, err);
}

static int
check(const struct work_env *env, const struct folder *folder, const struct marker *storage,
    bool joined, bool strict, struct error *err)
{
	bool kept = joined && identity_is_kept(env, folder->name);
	_free_ char *identity = NULL;
	struct marker marker;
	_view_ struct view view;

	if (open_view(env, folder, &view, err) < 0)
		return -1;
	if (view.dir < 0)
		return folder->at_need && !kept ? 0 : tell_absent(&view, storage, err);
	if (identity_of_folder(storage, view.dir, &identity, err) < 0)
		return -1;
	if (marker_read(view.dir, view.path, &marker, err) < 0) {
		err->status = 503;
		return -1;
	}
	if (!marker.uuid[0])
		return !joined && !strict && !view.local
			   ? 0
			   : adopt(&view, storage, joined, kept, identity, err);
	if (!str_equal(marker.uuid, storage->uuid))
		return tell_other(&view, storage, &marker, err);
	if (kept)
		return identity_check(env, folder->name, identity, err);
	return joined ? identity_keep(env, folder->name, identity, err) : 0;
}

int
folders_check(const struct work_env *env, const struct marker *storage, bool joined, bool strict,
    struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (check(env, &folders[i], storage, joined, strict, err) < 0)
			return -1;
	}
	return 0;
}

bool
folders_are_kept(const struct work_env *env, const struct marker *storage)
{
	struct error ignored = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_free_ char *path = xasprintf("%s/%s", env->root, folders[i].name);

		if (!identity_is_kept(env, folders[i].name) &&
		    (!folders[i].at_need || access(path, F_OK) == 0))
			return false;
	}
	return folders_check(env, storage, true, true, &ignored) == 0;
}

/* Makes ds beside the registry, where it is missing. */
static int
make(struct view *view, const struct marker *storage, struct error *err)
{
	if (view->local)
		return tell_absent(view, storage, err);
	if (mkdir(view->path, 0750) < 0 && errno != EEXIST)
		return error_errno(err, 507, errno, "cannot make '%s'", view->path);
	view->dir = open(view->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return view->dir < 0 ? error_errno(err, 507, errno, "cannot open '%s'", view->path) : 0;
}

/* That it has none of what the registry's VMs have in it: their images, or the variables of those
 * that have run. */
static int
check_not_bare(const struct view *view, struct error *err)
{
	struct tally tally = { 0 };
	_free_ char *missing = NULL;
	size_t wanted;

	if (count(view, &tally, err) < 0)
		return -1;
	missing = tally.missing;
	wanted = view->folder->at_need ? tally.lost : tally.named;
	if (wanted == 0 || tally.there > 0)
		return 0;
	return error_set(err, 503,
	    "the folder '%s' has none of the %zu files that VMs of the registry have there, as "
	    "'%s': mount it; or, where they are gone for good, `cp %s/xml/.virtx-storage %s/` "
	    "makes it the storage's as it is",
	    view->path, wanted, missing, view->env->root, view->path);
}

static int
mark(const struct work_env *env, const struct folder *folder, const struct marker *storage,
    size_t *n, struct error *err)
{
	_view_ struct view view;
	struct error ignored = { 0 };
	struct marker marker;
	bool read;

	if (open_view(env, folder, &view, err) < 0)
		return -1;
	if (view.dir < 0 && folder->at_need)
		return 0;
	if (view.dir < 0 && make(&view, storage, err) < 0)
		return -1;
	read = marker_read(view.dir, view.path, &marker, &ignored) == 0;
	if (read && marker.uuid[0])
		return str_equal(marker.uuid, storage->uuid)
			   ? 0
			   : tell_other(&view, storage, &marker, err);
	if (view.local)
		return tell_absent(&view, storage, err);
	if (read && check_not_bare(&view, err) < 0)
		return -1;
	/* One that cannot be read is told of by this. */
	(*n)++;
	return marker_put(view.dir, view.path, storage->uuid, &marker, err);
}

int
folders_mark(const struct work_env *env, const struct marker *storage, size_t *n, struct error *err)
{
	*n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (mark(env, &folders[i], storage, n, err) < 0)
			return -1;
	}
	return 0;
}

/* One without a marker tells nothing, but that it is not mounted. */
static int
find_uuid(const struct work_env *env, const struct folder *folder, char uuid[37], struct error *err)
{
	_view_ struct view view;
	struct marker marker;

	if (open_view(env, folder, &view, err) < 0 || check_not_bare(&view, err) < 0)
		return -1;
	if (view.dir < 0)
		return 0;
	if (marker_read(view.dir, view.path, &marker, err) < 0) {
		err->status = 503;
		return -1;
	}
	if (!marker.uuid[0])
		return 0;
	if (*uuid && !str_equal(uuid, marker.uuid))
		return error_set(err, 503,
		    "'%s/xml' has no marker '.virtx-storage', and the folders beside it are of two "
		    "storages, '%s' and '%s' (that of '%s'): mount its own",
		    env->root, uuid, marker.uuid, view.path);
	memcpy(uuid, marker.uuid, sizeof(marker.uuid));
	return 0;
}

int
folders_find_uuid(const struct work_env *env, char uuid[37], struct error *err)
{
	_free_ struct registry_entry *entries = NULL;
	size_t n = 0;

	uuid[0] = '\0';
	if (registry_list(env->root, NULL, &entries, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(folders) && n > 0; i++) {
		if (find_uuid(env, &folders[i], uuid, err) < 0)
			return -1;
	}
	return 0;
}

void
folders_forget(const struct work_env *env)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		identity_forget(env, folders[i].name);
}

int
folders_make_nvram(const struct work_env *env, struct error *err)
{
	_view_ struct view view = { .dir = -1 };
	struct marker storage, marker;
	struct folder folder = { .name = NVRAM };

	if (marker_load(env->root, &storage, err) < 0 || open_view(env, &folder, &view, err) < 0)
		return -1;
	if (view.dir >= 0)
		return 0;
	if (view.local)
		return tell_absent(&view, &storage, err);
	if (nvram_make_folder(env->root, err) < 0)
		return -1;
	view.dir = open(view.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (view.dir < 0)
		return error_errno(err, 507, errno, "cannot open '%s'", view.path);
	return marker_put(view.dir, view.path, storage.uuid, &marker, err);
}
