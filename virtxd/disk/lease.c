/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sanlock: one resource for each VM and each managed disk, and working under its lease. */
#include "disk/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>

#include "disk/lease_file.h"
#include "disk/lockfile.h"
#include "proto/uuid.h"

#define RESOURCE_MODE 02770
#define REPAIR	      "'virtx repair' makes it anew"
#define SECTOR	      LEASE_SECTOR
#define LVB_OFFSET    LEASE_LVB_OFFSET

/* ".NAME.VM-UUID.deleted" is the longest name of a leftover. */
#define LEFTOVER_SIZE (LEASE_NAME_SIZE + 37 + sizeof("..deleted"))

char *
lease_path(const char *root, const char *name)
{
	return xasprintf("%s/lock/%s/%s", root, name, name);
}

/* Names come from disk_resource_name(); this is for what else might get here. */
static int
check_name(const char *name, struct error *err)
{
	size_t len = strlen(name);

	if (len == 0 || len >= LEASE_NAME_SIZE || name[0] == '.' || strchr(name, '/'))
		return error_set(err, 400, "'%s' is no name of a lease", name);
	return 0;
}

static void
creation_name(char out[LEFTOVER_SIZE], const char *name, const char *uuid)
{
	snprintf(out, LEFTOVER_SIZE, ".%s.%s", name, uuid);
}

static void
deletion_name(char out[LEFTOVER_SIZE], const char *name, const char *uuid)
{
	snprintf(out, LEFTOVER_SIZE, ".%s.%s.deleted", name, uuid);
}

/* ROOT/lock, and with a name the directory of that resource; -1 with errno. */
static int
open_lock_dir(const char *root)
{
	_free_ char *path = xasprintf("%s/lock", root);

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct sanlk_resource *
lease_resource_new(const char *name, const char *path, struct error *err)
{
	struct sanlk_resource *resource;

	if (strlen(path) >= SANLK_PATH_LEN) {
		error_set(err, 400, "'%s' is too long a path for sanlock", path);
		return NULL;
	}
	resource = xcalloc(1, sizeof(*resource) + sizeof(struct sanlk_disk));
	memcpy(resource->lockspace_name, LEASE_LOCKSPACE, strlen(LEASE_LOCKSPACE));
	memcpy(resource->name, name, strnlen(name, SANLK_NAME_LEN));
	resource->num_disks = 1;
	memcpy(resource->disks[0].path, path, strlen(path));
	return resource;
}

int
lease_parse_owner(const char lvb[SECTOR], char uuid[37])
{
	static const char zeros[SECTOR];

	uuid[0] = '\0';
	if (memcmp(lvb, zeros, SECTOR) == 0)
		return 0;
	if (memcmp(lvb + 36, zeros, SECTOR - 36) != 0)
		return -EINVAL;
	memcpy(uuid, lvb, 36);
	uuid[36] = '\0';
	return uuid_normalize(uuid, uuid);
}

/* *there is false where there is no such file. */
static int
read_lvb(const char *path, char lvb[SECTOR], bool *there, struct error *err)
{
	__attribute__((aligned(4096))) char sector[SECTOR];
	_close_ int fd = -1;
	ssize_t n;

	fd = open(path, O_RDONLY | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	*there = fd >= 0 || errno != ENOENT;
	if (!*there)
		return 0;
	if (fd < 0)
		return error_errno(err, 507, errno, "cannot open the lease '%s'", path);
	n = pread(fd, sector, SECTOR, LVB_OFFSET);
	if (n < 0)
		return error_errno(
		    err, 507, errno, "cannot read the owner of the lease '%s'", path);
	if (n < SECTOR)
		return error_set(
		    err, 507, "the lease '%s' is damaged: its file is too short; " REPAIR, path);
	memcpy(lvb, sector, SECTOR);
	return 0;
}

int
lease_look_up(const char *root, const char *name, bool *there, char uuid[37], struct error *err)
{
	_free_ char *path = lease_path(root, name);
	char lvb[SECTOR];

	uuid[0] = '\0';
	if (check_name(name, err) < 0 || read_lvb(path, lvb, there, err) < 0)
		return -1;
	if (*there && lease_parse_owner(lvb, uuid) < 0)
		return error_set(
		    err, 507, "the lease '%s' is damaged: its owner is no uuid; " REPAIR, path);
	return 0;
}

static int
no_lease(const char *path, struct error *err)
{
	return error_errno(err, 404, ENOENT, "cannot open the lease '%s'", path);
}

int
lease_read_lvb(const char *path, char lvb[SECTOR], struct error *err)
{
	bool there;

	if (read_lvb(path, lvb, &there, err) < 0)
		return -1;
	return there ? 0 : no_lease(path, err);
}

int
lease_owner(const char *root, const char *name, char uuid[37], struct error *err)
{
	_free_ char *path = lease_path(root, name);
	bool there;

	if (lease_look_up(root, name, &there, uuid, err) < 0)
		return -1;
	return there ? 0 : no_lease(path, err);
}

/* Says that there is one already, and whose. */
static int
occupied(const char *root, const char *name, struct error *err)
{
	struct error cause = { 0 };
	char owner[37];

	if (lease_owner(root, name, owner, &cause) < 0)
		return error_set(err, 507, "resource '%s' exists already: %s", name, cause.detail);
	if (!owner[0])
		return error_set(err, 507, "resource '%s' exists already, and has no owner", name);
	return error_set(
	    err, 507, "resource '%s' exists already, and belongs to VM '%s'", name, owner);
}

/* Writes lease and owner to the file that nobody but us knows yet. */
static int
initialize(const char *path, const char *name, int fd, const char *uuid, struct error *err)
{
	__attribute__((aligned(4096))) char lvb[SECTOR] = { 0 };
	_free_ struct sanlk_resource *resource = NULL;
	ssize_t n;
	int rv;

	resource = lease_resource_new(name, path, err);
	if (!resource)
		return -1;
	resource->flags = SANLK_RES_ALIGN1M | SANLK_RES_SECTOR512;
	rv = sanlock_write_resource(resource, 0, 0, 0);
	if (rv < 0)
		return lockfile_error(err, 507, rv, "sanlock cannot write '%s'", path);

	memcpy(lvb, uuid, strlen(uuid));
	/* By the same way as sanlock and all readers, past the page cache. */
	if (fcntl(fd, F_SETFL, O_DIRECT) < 0)
		return error_errno(err, 507, errno, "cannot write the owner to '%s'", path);
	n = pwrite(fd, lvb, SECTOR, LVB_OFFSET);
	if (n != SECTOR)
		return error_errno(
		    err, 507, n < 0 ? errno : ENOSPC, "cannot write the owner to '%s'", path);
	return 0;
}

int
lease_create(const char *root, const char *name, const char *uuid, struct error *err)
{
	char temporary[LEFTOVER_SIZE];
	_close_ int lock = -1, fd = -1;
	_free_ char *path = NULL;
	char owner[UUID_TEXT_SIZE];
	struct stat st;
	int r;

	if (check_name(name, err) < 0)
		return -1;
	if (uuid_normalize(uuid, owner) < 0)
		return error_set(err, 400, "'%s' is no uuid", uuid);
	creation_name(temporary, name, owner);
	path = xasprintf("%s/lock/%s/%s", root, temporary, name);
	lock = open_lock_dir(root);
	if (lock < 0)
		return error_errno(err, 507, errno, "cannot open '%s/lock'", root);
	if (fstatat(lock, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return occupied(root, name, err);
	r = lockfile_make_dir(lock, temporary);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot make '%s' of resource '%s'%s", temporary,
		    name, r == -EEXIST ? ", a leftover of an earlier operation" : "");

	r = lockfile_make(lock, temporary, RESOURCE_MODE, name, &fd, err);
	if (r == 0)
		r = initialize(path, name, fd, owner, err);
	if (r == 0) {
		r = lockfile_publish(lock, temporary, fd, name);
		if (r == 0)
			return 0;
		r = r == -EEXIST ? occupied(root, name, err)
				 : error_errno(err, 507, -r, "cannot publish it");
	}
	error_wrap(err, "cannot create resource '%s'", name);
	if (lockfile_remove(lock, temporary, name) < 0)
		error_append(err, "its leftover '%s' is still there", temporary);
	return -1;
}

/* The host_id that the lease on storage names, or 0. */
static uint64_t
holder(struct sanlk_resource *resource)
{
	struct sanlk_host *hosts = NULL;
	uint64_t id = 0;
	int n = 0;

	if (sanlock_read_resource_owners(resource, 0, &hosts, &n) == 0 && n > 0)
		id = hosts[0].host_id;
	free(hosts);
	return id;
}

/* What an acquire that was refused means. */
static int
refused(struct sanlk_resource *resource, const char *name, int rv, struct error *err)
{
	switch (rv) {
	case -EEXIST:
		return error_set(err, 409,
		    "resource '%s' is held by a process of this host (the VM is running)", name);
	case -ECONNRESET:
	case -EPIPE:
		return lockfile_error(err, 503, rv,
		    "the sanlock daemon ended when resource '%s' was asked of it", name);
	case -ENOSPC:
		return error_set(err, 503,
		    "this host is not in the lockspace '" LEASE_LOCKSPACE
		    "' that resource '%s' needs",
		    name);
	case SANLK_ACQUIRE_IDLIVE:
	case SANLK_ACQUIRE_OWNED:
	case SANLK_ACQUIRE_OTHER:
	case SANLK_DBLOCK_LVER:
	case SANLK_DBLOCK_MBAL:
		return lockfile_error(err, 409, rv, "resource '%s' is held by host_id %llu", name,
		    (unsigned long long)holder(resource));
	case SANLK_ACQUIRE_OWNED_RETRY:
		return lockfile_error(err, 409, rv,
		    "resource '%s' is held by host_id %llu, which has not been heard of yet, and "
		    "free "
		    "when that stays so until its lease expires",
		    name, (unsigned long long)holder(resource));
	}
	return lockfile_error(err, 507, rv, "cannot take the lease '%s'", resource->disks[0].path);
}

/* Under the lease: is this VM its owner? */
static int
check_owner(struct sanlk_resource *resource, const struct lease *lease, struct error *err)
{
	char lvb[SECTOR] = { 0 };
	char owner[37];
	int rv;

	rv = sanlock_get_lvb(0, resource, lvb, sizeof(lvb));
	if (rv < 0)
		return lockfile_error(
		    err, 507, rv, "cannot read the owner of the lease '%s'", lease->path);
	if (lease_parse_owner(lvb, owner) < 0)
		return error_set(err, 507,
		    "the lease '%s' is damaged: its owner is no uuid; " REPAIR, lease->path);
	if (!owner[0])
		return error_set(err, 409, "resource '%s' has no owner", lease->name);
	if (strcmp(owner, lease->uuid) != 0)
		return error_set(err, 409, "resource '%s' belongs to VM '%s'", lease->name, owner);
	return 0;
}

int
lease_acquire(
    const char *root, const char *name, const char *uuid, struct lease *lease, struct error *err)
{
	_free_ struct sanlk_resource *resource = NULL;
	struct stat st;
	int rv;

	*lease = (struct lease)LEASE_INIT;
	if (check_name(name, err) < 0)
		return -1;
	if (uuid_normalize(uuid, lease->uuid) < 0)
		return error_set(err, 400, "'%s' is no uuid", uuid);
	snprintf(lease->name, sizeof(lease->name), "%s", name);
	lease->path = lease_path(root, name);
	resource = lease_resource_new(name, lease->path, err);
	if (!resource)
		goto fail;
	if (stat(lease->path, &st) < 0) {
		error_errno(err, errno == ENOENT ? 404 : 507, errno, "cannot find the lease '%s'",
		    lease->path);
		goto fail;
	}

	lease->sock = sanlock_register();
	if (lease->sock < 0) {
		rv = lease->sock;
		lease->sock = -1;
		lockfile_error(err, 503, rv, "the sanlock daemon does not answer");
		goto fail;
	}
	/* The lease is this process's, not of the programs that it runs. */
	(void)fcntl(lease->sock, F_SETFD, FD_CLOEXEC);
	rv = sanlock_acquire(
	    lease->sock, -1, SANLK_ACQUIRE_LVB | SANLK_ACQUIRE_OWNER_NOWAIT, 1, &resource, NULL);
	if (rv < 0) {
		refused(resource, name, rv, err);
		goto fail;
	}
	if (check_owner(resource, lease, err) == 0)
		return 0;

fail:
	lease_release(lease);
	return -1;
}

void
lease_release(struct lease *lease)
{
	/* All that this connection holds is one; the daemon answers when it is free, or when it had
	 * to give it up because the file is gone. */
	if (lease->sock >= 0)
		(void)sanlock_release(lease->sock, -1, SANLK_REL_ALL, 0, NULL);
	util_close(&lease->sock);
	free(lease->path);
	*lease = (struct lease)LEASE_INIT;
}

int
lease_check(const struct lease *lease, struct error *err)
{
	char byte;

	/* The daemon says nothing by itself: there is something to read only when it has gone. */
	if (lease->sock >= 0 && recv(lease->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return error_set(
	    err, 503, "the lease of resource '%s' is lost: sanlock has ended", lease->name);
}

int
lease_delete(const char *root, struct lease *lease, struct error *err)
{
	char name[LEASE_NAME_SIZE], away[LEFTOVER_SIZE];
	_close_ int lock = -1;
	int r;

	if (lease->sock < 0)
		return error_set(err, 507, "a resource is deleted only under its lease");
	if (lease_check(lease, err) < 0)
		return -1;
	memcpy(name, lease->name, sizeof(name));
	deletion_name(away, name, lease->uuid);
	lock = open_lock_dir(root);
	if (lock < 0)
		return error_errno(err, 507, errno, "cannot open '%s/lock'", root);
	/* Of an earlier deletion that was cut short. */
	r = lockfile_remove(lock, away, name);
	if (r == 0)
		r = rename_at(lock, name, lock, away);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot delete resource '%s'", name);
	lease_release(lease);
	r = lockfile_remove(lock, away, name);
	if (r < 0)
		return error_errno(err, 507, -r, "cannot remove '%s' of resource '%s'", away, name);
	if (fsync(lock) < 0)
		return error_errno(err, 507, errno, "cannot write out '%s/lock'", root);
	return 0;
}

int
lease_discard(const char *root, const char *name, const char *uuid, struct error *err)
{
	char away[LEFTOVER_SIZE], owner[UUID_TEXT_SIZE];
	_close_ int lock = -1;
	int r;

	if (check_name(name, err) < 0)
		return -1;
	if (uuid_normalize(uuid, owner) < 0)
		return error_set(err, 400, "'%s' is no uuid", uuid);
	deletion_name(away, name, owner);
	lock = open_lock_dir(root);
	if (lock < 0)
		return errno == ENOENT
			   ? 0
			   : error_errno(err, 507, errno, "cannot open '%s/lock'", root);
	r = lockfile_remove(lock, away, name);
	if (r == 0)
		r = rename_at(lock, name, lock, away);
	if (r == 0)
		r = lockfile_remove(lock, away, name);
	if (r < 0 && r != -ENOENT)
		return error_errno(err, 507, -r,
		    "cannot remove what is left of the lease '%s/lock/%s'", root, name);
	return 0;
}

int
lease_undo(const char *root, const char *name, const char *uuid, struct error *err)
{
	char leftover[2][LEFTOVER_SIZE], owner[UUID_TEXT_SIZE];
	_close_ int lock = -1;
	int r;

	if (check_name(name, err) < 0)
		return -1;
	if (uuid_normalize(uuid, owner) < 0)
		return error_set(err, 400, "'%s' is no uuid", uuid);
	creation_name(leftover[0], name, owner);
	deletion_name(leftover[1], name, owner);
	lock = open_lock_dir(root);
	if (lock < 0)
		return errno == ENOENT
			   ? 0
			   : error_errno(err, 507, errno, "cannot open '%s/lock'", root);
	for (size_t i = 0; i < ARRAY_SIZE(leftover); i++) {
		r = lockfile_remove(lock, leftover[i], name);
		if (r < 0)
			return error_errno(
			    err, 507, -r, "cannot remove '%s/lock/%s'", root, leftover[i]);
	}
	return 0;
}
