/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sanlock: making, joining and leaving the lockspace. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_rv.h>

#include "disk/lease.h"
#include "disk/lockfile.h"

#define LOCK_MODE 02771
#define HOSTS_MAX 2000
/* On the disk each host_id has a sector, with the name of the lockspace in it, and how often it was
 * joined. */
#define SECTOR		 512
#define SPACE_SIZE	 (1 << 20)
#define SPACE_GENERATION 40
#define SPACE_NAME	 56
/* For one that another process began. */
#define JOIN_POLL_MS 250

static int
space_init(struct sanlk_lockspace *space, const char *path, int host_id, struct error *err)
{
	memset(space, 0, sizeof(*space));
	if (strlen(path) >= sizeof(space->host_id_disk.path))
		return error_set(err, 400, "'%s' is too long a path for sanlock", path);
	memcpy(space->name, LEASE_LOCKSPACE, strlen(LEASE_LOCKSPACE));
	memcpy(space->host_id_disk.path, path, strlen(path));
	space->host_id = (uint64_t)host_id;
	return 0;
}

static char *
space_path(const char *root)
{
	return xasprintf("%s/lock/" LEASE_LOCKSPACE, root);
}

/* Writes an empty lockspace to root_fd/temporary and makes it ROOT/lock. */
static int
make(const char *root, int root_fd, const char *temporary, int io_timeout, struct error *err)
{
	_free_ char *path = xasprintf("%s/%s/" LEASE_LOCKSPACE, root, temporary);
	struct sanlk_lockspace space;
	_close_ int fd = -1;
	int r;

	if (space_init(&space, path, 0, err) < 0 ||
	    lockfile_make(root_fd, temporary, LOCK_MODE, LEASE_LOCKSPACE, &fd, err) < 0)
		return -1;
	space.flags = SANLK_LSF_ALIGN1M | SANLK_LSF_SECTOR512;
	r = sanlock_write_lockspace(&space, 0, 0, (uint32_t)io_timeout);
	if (r < 0)
		return lockfile_error(err, 507, r, "sanlock cannot write '%s'", path);
	r = lockfile_publish(root_fd, temporary, fd, "lock");
	if (r < 0 && r != -EEXIST)
		return error_errno(err, 507, -r, "cannot publish it");
	/* Another host was first: that one is ours too, and this is not needed. */
	if (r == -EEXIST && lockfile_remove(root_fd, temporary, LEASE_LOCKSPACE) < 0)
		return error_set(err, 507, "cannot remove '%s/%s'", root, temporary);
	return 0;
}

int
lockspace_create(const char *root, int io_timeout, struct error *err)
{
	_free_ char *path = space_path(root);
	_free_ char *temporary = xasprintf("%s/.lock.XXXXXX", root);
	_close_ int root_fd = -1;
	const char *name;
	struct stat st;

	if (stat(path, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return error_errno(err, 507, errno, "cannot find lockspace '%s'", path);
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || !mkdtemp(temporary))
		return error_errno(err, 507, errno, "cannot create a lockspace in '%s'", root);
	name = temporary + strlen(root) + 1;
	if (make(root, root_fd, name, io_timeout, err) < 0) {
		error_wrap(err, "cannot create lockspace '%s'", path);
		if (lockfile_remove(root_fd, name, LEASE_LOCKSPACE) < 0)
			error_append(err, "its leftover '%s' is still there", temporary);
		return -1;
	}
	if (stat(path, &st) < 0)
		return error_errno(err, 507, errno,
		    "directory '%s/lock' is there, but the lockspace in it is not", root);
	return 0;
}

int
lockspace_is_used(const char *root, bool *ret, struct error *err)
{
	_free_ char *path = space_path(root);
	_free_ void *memory = NULL;
	_close_ int fd = open(path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);
	const char *sector;
	ssize_t n;

	*ret = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : error_errno(err, 507, errno, "cannot open '%s'", path);
	if (posix_memalign(&memory, 4096, SPACE_SIZE) != 0)
		abort();
	n = pread(fd, memory, SPACE_SIZE, 0);
	if (n < 0)
		return error_errno(err, 507, errno, "cannot read '%s'", path);
	for (sector = memory; n >= SECTOR; sector += SECTOR, n -= SECTOR) {
		uint64_t generation;

		if (memcmp(sector + SPACE_NAME, LEASE_LOCKSPACE, sizeof(LEASE_LOCKSPACE)) != 0)
			continue;
		memcpy(&generation, sector + SPACE_GENERATION, sizeof(generation));
		if (generation)
			*ret = true;
	}
	return 0;
}

/*
 * Whether our own host_id still lives. A sanlock that could not renew it for too long (stopped,
 * say, or its storage hung) gives the lockspace up, but only some seconds after it goes on.
 */
static bool
is_renewed(int host_id)
{
	_free_ struct sanlk_host *hosts = NULL;
	int n = 0;
	uint32_t status;

	if (sanlock_get_hosts(LEASE_LOCKSPACE, (uint64_t)host_id, &hosts, &n, 0) < 0 || n < 1)
		return true;
	status = hosts[0].flags & SANLK_HOST_MASK;
	return status != SANLK_HOST_FAIL && status != SANLK_HOST_DEAD;
}

int
lockspace_state(const char *root, enum lockspace_state *state, int *host_id, struct error *err)
{
	_free_ struct sanlk_lockspace *spaces = NULL;
	_free_ char *path = space_path(root);
	int n = 0, rv;

	/* This one is answered from memory, so that hung storage does not hang it. */
	rv = sanlock_get_lockspaces(&spaces, &n, 0);
	if (rv < 0)
		return lockfile_error(err, 503, rv, "cannot ask the sanlock daemon for lockspaces");
	*state = LOCKSPACE_ABSENT;
	for (int i = 0; i < n; i++) {
		const struct sanlk_lockspace *space = &spaces[i];

		if (strncmp(space->name, LEASE_LOCKSPACE, sizeof(space->name)) != 0)
			continue;
		if (strncmp(space->host_id_disk.path, path, sizeof(space->host_id_disk.path)) != 0)
			return error_set(err, 503,
			    "the sanlock daemon is in a lockspace '" LEASE_LOCKSPACE
			    "' at '%.*s', not at '%s'",
			    (int)sizeof(space->host_id_disk.path), space->host_id_disk.path, path);
		if (space->flags & SANLK_LSF_REM)
			return 0;
		*host_id = (int)space->host_id;
		if (space->flags & SANLK_LSF_ADD)
			*state = LOCKSPACE_JOINING;
		else
			*state = is_renewed(*host_id) ? LOCKSPACE_JOINED : LOCKSPACE_LOST;
		return 0;
	}
	return 0;
}

int
lockspace_self(const char *root, int *host_id, uint64_t *generation, struct error *err)
{
	_free_ struct sanlk_host *hosts = NULL;
	enum lockspace_state state;
	int n = 0, rv;

	if (lockspace_state(root, &state, host_id, err) < 0)
		return -1;
	if (state != LOCKSPACE_JOINED)
		return 1;
	rv = sanlock_get_hosts(LEASE_LOCKSPACE, (uint64_t)*host_id, &hosts, &n, 0);
	if (rv < 0 && rv != -ENOENT)
		return lockfile_error(
		    err, 503, rv, "cannot ask the sanlock daemon for host_id %d", *host_id);
	if (rv < 0 || n < 1 || hosts[0].generation == 0)
		return 1;
	*generation = hosts[0].generation;
	return 0;
}

/* Waits while another process of this host joins. */
static int
await_joining(const char *root, enum lockspace_state *state, int *host_id, struct error *err)
{
	while (true) {
		if (lockspace_state(root, state, host_id, err) < 0)
			return -1;
		if (*state != LOCKSPACE_JOINING)
			return 0;
		usleep(JOIN_POLL_MS * 1000);
	}
}

int
lockspace_join(const char *root, int first_id, int io_timeout, int *host_id, struct error *err)
{
	_free_ char *path = space_path(root);
	enum lockspace_state state;
	struct sanlk_lockspace space;
	int rv, id = first_id;

	if (first_id < 1 || first_id > HOSTS_MAX)
		return error_set(err, 400, "host_id %d is outside of 1 to %d", first_id, HOSTS_MAX);
	for (int tries = 0; tries < HOSTS_MAX; tries++) {
		if (await_joining(root, &state, host_id, err) < 0)
			return -1;
		if (state == LOCKSPACE_JOINED)
			return 0;
		if (space_init(&space, path, id, err) < 0)
			return -1;
		rv = sanlock_add_lockspace_timeout(&space, 0, (uint32_t)io_timeout);
		if (rv == 0) {
			*host_id = id;
			return 0;
		}
		if (rv == SANLK_HOSTID_BUSY) {
			id = id % HOSTS_MAX + 1;
			continue;
		}
		/* Another process of this host may have been quicker: then its id is ours. */
		if (await_joining(root, &state, host_id, err) < 0)
			return -1;
		if (state == LOCKSPACE_JOINED)
			return 0;
		if (rv != -EINPROGRESS) {
			(void)lockfile_error(
			    err, 503, rv, "cannot join lockspace '%s' with host_id %d", path, id);
			/* Whatever kept sanlock from opening the file, it calls it ENODEV. */
			lockfile_append_group(err, path);
			return -1;
		}
	}
	return error_set(err, 503, "all host_ids of lockspace '%s' are busy", path);
}

int
lockspace_leave(const char *root, struct error *err)
{
	_free_ char *path = space_path(root);
	enum lockspace_state state;
	struct sanlk_lockspace space;
	int rv, id = 0;

	if (lockspace_state(root, &state, &id, err) < 0)
		return -1;
	if (state == LOCKSPACE_ABSENT)
		return 1;
	if (state == LOCKSPACE_JOINING)
		return 0;
	if (space_init(&space, path, id, err) < 0)
		return -1;
	/* Without the flag sanlock would kill the VMs that hold leases. */
	rv = sanlock_rem_lockspace(&space, SANLK_REM_UNUSED);
	if (rv == 0 || rv == -ENOENT)
		return 1;
	if (rv == -EBUSY || rv == -EINPROGRESS)
		return 0;
	return lockfile_error(
	    err, 503, rv, "cannot leave lockspace '%s' with host_id %d", path, id);
}

static enum lockspace_sight
read_sight(uint32_t flags)
{
	switch (flags & SANLK_HOST_MASK) {
	case SANLK_HOST_FREE:
		return LOCKSPACE_SIGHT_FREE;
	case SANLK_HOST_LIVE:
		return LOCKSPACE_SIGHT_LIVE;
	case SANLK_HOST_FAIL:
		return LOCKSPACE_SIGHT_FAIL;
	case SANLK_HOST_DEAD:
		return LOCKSPACE_SIGHT_DEAD;
	default:
		return LOCKSPACE_SIGHT_UNKNOWN;
	}
}

int
lockspace_hosts(struct lockspace_host **ret, size_t *n, struct error *err)
{
	_free_ struct sanlk_host *hosts = NULL;
	int count = 0, rv;

	*ret = NULL;
	*n = 0;
	rv = sanlock_get_hosts(LEASE_LOCKSPACE, 0, &hosts, &count, 0);
	if (rv < 0)
		return lockfile_error(
		    err, 503, rv, "cannot ask the sanlock daemon for the hosts of the lockspace");
	if (count > HOSTS_MAX)
		count = HOSTS_MAX;
	for (int i = 0; i < count; i++) {
		const struct sanlk_host *host = &hosts[i];

		if (host->host_id < 1 || host->host_id > HOSTS_MAX)
			continue;
		*ret = xrealloc(*ret, *n + 1, sizeof(**ret));
		(*ret)[(*n)++] = (struct lockspace_host){ (int)host->host_id,
			(int64_t)host->generation, (int)host->io_timeout, read_sight(host->flags) };
	}
	return 0;
}

int
lockspace_default_id(const char *host_uuid)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint32_t front;

	if (EVP_Digest(host_uuid, strlen(host_uuid), digest, NULL, EVP_md5(), NULL) != 1)
		return 1;
	front = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
		digest[3];
	return (int)(front % HOSTS_MAX) + 1;
}
