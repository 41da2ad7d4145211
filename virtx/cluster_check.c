/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_check.h"

#include <ctype.h>
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "virtx/client.h"
#include "virtx/cluster_fs.h"
#include "virtx/cluster_run.h"

#define ASK_S	       10 /* for the answer of sanlock */
#define LOCKSPACE      "__VIRTX__DISKS__"
#define SANLOCK_SOCKET "/run/sanlock/sanlock.sock"
#define STORAGE_ROOT   "/vms"
#define FSTAB	       "/etc/fstab"
#define UNITS	       "/etc/systemd/system/"
#define MARKER	       "/xml/.virtx-storage"
#define MOUNTS	       "/proc/self/mounts"
#define TABLE_LINE     4096 /* of a table of mounts */

/* Whether sanlock is in a lockspace whose name begins so, as "s NAME:ID:PATH:OFFSET" tells in a
 * line of its own: 1, 0 where it is in none or does not run, or -1 where it runs and does not
 * answer. */
static int
find_lockspace(const char *name)
{
	static const char *const gets[] = { "sanlock", "client", "gets", NULL };
	_free_ char *line = xasprintf("\ns %s", name), *text = NULL;
	struct error ignored;
	int fd;

	if (cluster_run_read(gets, ASK_S, &text, &ignored) == 0)
		return strncmp(text, line + 1, strlen(line + 1)) == 0 || strstr(text, line);
	fd = server_open_socket(SANLOCK_SOCKET);
	if (fd >= 0)
		close(fd);
	return fd == -ENOENT || fd == -ECONNREFUSED ? 0 : -1;
}

bool
cluster_check_may_be_in_lockspace(const struct cluster_site *site)
{
	return !*site->root_path && find_lockspace(LOCKSPACE ":") != 0;
}

/* A host in a lockspace has its watchdog armed: neither wdmd nor sanlock ends then. */
static int
check_lockspace(const struct cluster_site *site, struct error *err)
{
	int rc = find_lockspace("");

	if (rc == 0)
		return 0;
	if (rc < 0)
		return error_set(err, CLIENT_ERROR_STATUS,
		    "sanlock has to be restarted, and cannot be where this host is in a lockspace: "
		    "it runs, and does not tell ('sanlock client gets'); nothing was written");
	return error_set(err, CLIENT_ERROR_STATUS,
	    "this host is in a lockspace of sanlock, which has to be restarted, and cannot be as "
	    "long; nothing was written. 'virtx maintain host %s --wait' moves its VMs away, "
	    "'systemctl stop virtx-lockspace' then leaves the lockspace; after that, this command "
	    "again, and 'virtx maintain host %s --end'",
	    site->uuid, site->uuid);
}

/* The storage */

static char *
storage_root(const struct cluster_site *site)
{
	_free_ char *text = NULL;
	struct error ignored;
	char *told = NULL;

	if (!str_empty(site->storage_root))
		return xstrdup(site->storage_root);
	if (cluster_fs_read(site->root, CLUSTER_VIRTXD_CONF, &text, NULL, &ignored) > 0)
		told = cluster_edit_get(text, "virtxd", "storage_root");
	return told ? told : xstrdup(STORAGE_ROOT);
}

/* Whether the path is the folder, or leads to it. */
static bool
leads_to(const char *path, const char *folder)
{
	size_t len = strlen(path);

	return strncmp(path, folder, len) == 0 && (folder[len] == '/' || folder[len] == '\0');
}

/* The next mount point of a table like fstab; false at its end. */
static bool
next_mount(FILE *table, char line[TABLE_LINE], const char **ret)
{
	struct mntent entry;
	size_t len;

	if (!getmntent_r(table, &entry, line, TABLE_LINE))
		return false;
	len = strlen(entry.mnt_dir);
	while (len > 1 && entry.mnt_dir[len - 1] == '/')
		entry.mnt_dir[--len] = '\0';
	*ret = entry.mnt_dir;
	return true;
}

/* Of what is automounted the kernel's own stands there, which mounts it for whoever looks. */
static int
check_mount(char *mounts, const char *path, const char *who, struct error *err)
{
	FILE *table = fmemopen(mounts, strlen(mounts), "r");
	char line[TABLE_LINE];
	const char *point;
	bool found = false;

	while (table && !found && next_mount(table, line, &point))
		found = strcmp(point, path) == 0;
	if (table)
		fclose(table);
	if (found)
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "nothing is mounted at '%s', as '%s' says that there is to be, and a storage would be "
	    "made in the folder below it; nothing was written. Mount it before",
	    path, who);
}

/* What fstab has there, above it, or below it. */
static int
check_fstab(const struct cluster_site *site, char *mounts, const char *storage, struct error *err)
{
	_free_ char *text = NULL;
	FILE *table = NULL;
	char line[TABLE_LINE];
	const char *point;
	int rc = cluster_fs_read(site->root, FSTAB, &text, NULL, err);

	if (rc > 0 && *text)
		table = fmemopen(text, strlen(text), "r");
	rc = rc < 0 ? -1 : 0;
	while (table && rc == 0 && next_mount(table, line, &point)) {
		if (leads_to(point, storage) || leads_to(storage, point))
			rc = check_mount(mounts, point, FSTAB, err);
	}
	if (table)
		fclose(table);
	return rc;
}

/* The unit that mounts a path, by the rules of systemd-escape. */
static char *
unit_of(const char *path, size_t len)
{
	struct buffer b = { 0 };

	buffer_printf(&b, UNITS);
	for (size_t i = 1; i < len; i++) {
		if (path[i] == '/')
			buffer_printf(&b, "-");
		else if (isalnum((unsigned char)path[i]) || strchr(":_.", path[i]))
			buffer_printf(&b, "%c", path[i]);
		else
			buffer_printf(&b, "\\x%02x", (unsigned char)path[i]);
	}
	buffer_printf(&b, ".mount");
	return buffer_steal(&b, NULL);
}

static int
check_units(const struct cluster_site *site, char *mounts, const char *storage, struct error *err)
{
	for (size_t len = 2; len <= strlen(storage); len++) {
		_free_ char *unit = unit_of(storage, len), *path = xstrndup(storage, len);

		if ((storage[len] == '/' || storage[len] == '\0') &&
		    cluster_fs_exists(site->root, unit) && check_mount(mounts, path, unit, err) < 0)
			return -1;
	}
	return 0;
}

static int
check_storage(const struct cluster_site *site, struct error *err)
{
	_free_ char *storage = storage_root(site), *mounts = NULL;

	if (cluster_fs_read(site->root, MOUNTS, &mounts, NULL, err) < 0)
		return -1;
	if (!mounts || !*mounts)
		return 0;
	if (check_fstab(site, mounts, storage, err) < 0)
		return -1;
	return check_units(site, mounts, storage, err);
}

int
cluster_check(const struct cluster_site *site, unsigned int parts, struct error *err)
{
	if (*site->root_path)
		return 0;
	if (check_storage(site, err) < 0)
		return -1;
	return parts & (PART_WDMD | PART_SANLOCK) ? check_lockspace(site, err) : 0;
}

/* The storage of a host that has left */

/* By what virtxd reads without our settings, whether they are there yet or not. */
static char *
root_left(const struct cluster_site *site)
{
	_free_ char *text = NULL, *bare = NULL;
	struct error ignored;
	char *told = NULL;

	if (cluster_fs_read(site->root, CLUSTER_VIRTXD_CONF, &text, NULL, &ignored) > 0)
		bare = cluster_edit_undo(text, NULL);
	if (bare)
		told = cluster_edit_get(bare, "virtxd", "storage_root");
	for (size_t len = told ? strlen(told) : 0; len > 1 && told[len - 1] == '/';)
		told[--len] = '\0';
	return told ? told : xstrdup(STORAGE_ROOT);
}

/* Whether a table of mounts has the folder, what leads to it, or what is in it. */
static bool
table_has(const struct cluster_site *site, const char *path, const char *folder)
{
	_free_ char *text = NULL;
	struct error ignored;
	FILE *table = NULL;
	char line[TABLE_LINE];
	const char *point;
	bool found = false;

	if (cluster_fs_read(site->root, path, &text, NULL, &ignored) > 0 && *text)
		table = fmemopen(text, strlen(text), "r");
	while (table && !found && next_mount(table, line, &point))
		found = leads_to(point, folder) || leads_to(folder, point);
	if (table)
		fclose(table);
	return found;
}

static bool
has_unit(const struct cluster_site *site, const char *folder)
{
	for (size_t len = 2; len <= strlen(folder); len++) {
		_free_ char *unit = unit_of(folder, len);

		if ((folder[len] == '/' || folder[len] == '\0') &&
		    cluster_fs_exists(site->root, unit))
			return true;
	}
	return false;
}

char *
cluster_check_storage_left(const struct cluster_site *site)
{
	_free_ char *storage = root_left(site);
	_free_ char *marker = xasprintf("%s" MARKER, storage);

	/* What is mounted may hang, and is not looked into. */
	if (table_has(site, MOUNTS, storage) || table_has(site, FSTAB, storage) ||
	    has_unit(site, storage) || cluster_fs_exists(site->root, marker))
		return steal_ptr(storage);
	return NULL;
}
