/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/seen_leases.h"

#include <stdio.h>

#include <uthash.h>

#include "disk/lease.h"
#include "proto/uuid.h"
#include "work/file_state.h"

struct seen {
	UT_hash_handle hh;
	char *path;
	char vm[UUID_TEXT_SIZE];
	struct stat file;
};

static struct seen *seen_leases; /* by path */

static struct seen *
find(const char *path)
{
	struct seen *seen;

	HASH_FIND_STR(seen_leases, path, seen);
	return seen;
}

static void
forget(struct seen *seen)
{
	HASH_DEL(seen_leases, seen);
	free(seen->path);
	free(seen);
}

bool
seen_leases_recall(const char *root, const char *name, const char *vm, struct stat *file)
{
	_free_ char *path = lease_path(root, name);
	const struct seen *seen = find(path);
	struct error ignored = { 0 };

	if (lease_stat(root, name, file, &ignored) < 0) {
		*file = (struct stat){ 0 };
		return false;
	}
	return seen && str_equal(seen->vm, vm) && file_state_is_same(&seen->file, file);
}

void
seen_leases_keep(const char *root, const char *name, const char *vm, const struct stat *file)
{
	_free_ char *path = lease_path(root, name);
	struct seen *seen = find(path);

	if (seen)
		forget(seen);
	if (!S_ISREG(file->st_mode) || !file_state_is_settled(file))
		return;
	seen = xcalloc(1, sizeof(*seen));
	seen->path = steal_ptr(path);
	snprintf(seen->vm, sizeof(seen->vm), "%s", vm);
	seen->file = *file;
	HASH_ADD_KEYPTR(hh, seen_leases, seen->path, strlen(seen->path), seen);
}

void
seen_leases_forget(void)
{
	struct seen *seen, *next;

	HASH_ITER (hh, seen_leases, seen, next)
		forget(seen);
}
