/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases that another process of this host holds: a VM's QEMU, which libvirt has registered. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>

#include "disk/lease.h"
#include "disk/lease_file.h"
#include "disk/lockfile.h"
#include "proto/table.h"

/* What sanlock's library returns of several resources. */
struct resources {
	struct sanlk_resource **items;
	int n;
};
#define _resources_ __attribute__((cleanup(resources_clear)))

/* sanlock serves one request for a process at a time, and refuses others meanwhile: libvirt's, and
 * those of another job, end soon. */
#define BUSY_PAUSE_MS 10
#define BUSY_MS	      2000

static void
resources_clear(struct resources *resources)
{
	for (int i = 0; i < resources->n; i++)
		free(resources->items[i]);
	free(resources->items);
}

static void
add_held(struct lease_set *set, const struct sanlk_resource *resource)
{
	struct lease_held *held;

	if (set->n == ARRAY_SIZE(set->items) || strncmp(resource->lockspace_name, LEASE_LOCKSPACE,
						    sizeof(resource->lockspace_name)) != 0)
		return;
	held = &set->items[set->n++];
	memcpy(held->name, resource->name, sizeof(resource->name));
	held->name[sizeof(held->name) - 1] = '\0';
	held->version = (int64_t)resource->lver;
}

/* Whether the request that was answered rv is to be made again, after a pause, before the end. */
static bool
must_ask_again(int rv, int64_t end)
{
	if (rv != -EBUSY || monotonic_ms() >= end)
		return false;
	usleep(BUSY_PAUSE_MS * 1000);
	return true;
}

int
lease_held_by(pid_t pid, struct lease_set *ret, struct error *err)
{
	_resources_ struct resources resources = { 0 };
	int64_t end = monotonic_ms() + BUSY_MS;
	_free_ char *state = NULL;
	int n = 0, rv;

	*ret = (struct lease_set){ 0 };
	do
		rv = sanlock_inquire(-1, pid, 0, &n, &state);
	while (must_ask_again(rv, end));
	if (rv == -ESRCH) {
		error_set(err, 404, "sanlock does not know process %d", (int)pid);
		return 1;
	}
	if (rv < 0)
		return lockfile_error(
		    err, 503, rv, "cannot ask sanlock for the leases of process %d", (int)pid);
	if (n == 0)
		return 0;
	rv = sanlock_state_to_args(state, &resources.n, &resources.items);
	if (rv < 0)
		return lockfile_error(
		    err, 503, rv, "cannot read the leases of process %d", (int)pid);
	for (int i = 0; i < resources.n; i++)
		add_held(ret, resources.items[i]);
	return 0;
}

bool
lease_daemon_is_gone(void)
{
	_free_ struct sanlk_lockspace *spaces = NULL;
	int n = 0, rv = sanlock_get_lockspaces(&spaces, &n, 0);

	return rv == -ECONNREFUSED || rv == -ENOENT;
}

/* The library's description of all leases of the set. */
static int
describe(
    const char *root, const struct lease_set *set, struct resources *resources, struct error *err)
{
	resources->items = xcalloc(set->n + 1, sizeof(*resources->items));
	for (size_t i = 0; i < set->n; i++) {
		_free_ char *path = lease_path(root, set->items[i].name);

		resources->items[i] = lease_resource_new(set->items[i].name, path, err);
		if (!resources->items[i])
			return -1;
		resources->n++;
	}
	return 0;
}

int
lease_acquire_for(const char *root, pid_t pid, const struct lease_set *set, struct error *err)
{
	_resources_ struct resources resources = { 0 };
	int64_t end = monotonic_ms() + BUSY_MS;
	int rv;

	if (describe(root, set, &resources, err) < 0)
		return -1;
	do
		rv = sanlock_acquire(
		    -1, pid, SANLK_ACQUIRE_OWNER_NOWAIT, resources.n, resources.items, NULL);
	while (must_ask_again(rv, end));
	if (rv >= 0)
		return 0;
	return lockfile_error(
	    err, 409, rv, "cannot hold the leases of process %d for it", (int)pid);
}

int
lease_release_for(const char *root, pid_t pid, const struct lease_set *set, struct error *err)
{
	_resources_ struct resources resources = { 0 };
	int64_t end = monotonic_ms() + BUSY_MS;
	int rv;

	if (describe(root, set, &resources, err) < 0)
		return -1;
	do
		rv = sanlock_release(-1, pid, 0, resources.n, resources.items);
	while (must_ask_again(rv, end));
	if (rv >= 0)
		return 0;
	return lockfile_error(
	    err, 503, rv, "cannot release the leases that process %d holds", (int)pid);
}

int
lease_version(const char *root, const char *name, int64_t *ret, struct error *err)
{
	_free_ struct sanlk_resource *resource = NULL;
	_free_ char *path = lease_path(root, name);
	struct stat st;
	int rv;

	resource = lease_resource_new(name, path, err);
	if (!resource)
		return -1;
	if (stat(path, &st) < 0)
		return error_errno(
		    err, errno == ENOENT ? 404 : 507, errno, "cannot find resource '%s'", name);
	rv = sanlock_read_resource(resource, 0);
	if (rv < 0)
		return lockfile_error(err, 507, rv, "cannot read resource '%s'", name);
	*ret = (int64_t)resource->lver;
	return 0;
}

const struct lease_held *
lease_set_find(const struct lease_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->items[i].name, name) == 0)
			return &set->items[i];
	}
	return NULL;
}
