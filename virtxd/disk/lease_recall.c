/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lease is asked back from the host that holds it, over the storage alone. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>

#include "disk/lease.h"
#include "disk/lease_file.h"
#include "disk/lockfile.h"

/* Nobody's process here is to be ended by what is meant for another host. */
static int
check_holder(const char *root, const char *name, struct sanlk_resource *resource, struct error *err)
{
	_free_ struct sanlk_host *hosts = NULL;
	enum lockspace_state state;
	int n = 0, own = 0, rv;

	if (lockspace_state(root, &state, &own, err) < 0)
		return -1;
	rv = sanlock_read_resource_owners(resource, 0, &hosts, &n);
	if (rv < 0)
		return lockfile_error(err, 507, rv, "cannot read who holds resource '%s'", name);
	if (n > 0 && hosts[0].host_id == (uint64_t)own)
		return error_set(
		    err, 409, "resource '%s' is held by this host itself (host_id %d)", name, own);
	return 0;
}

int
lease_recall(const char *root, const char *name, bool force, struct error *err)
{
	_free_ struct sanlk_resource *resource = NULL;
	_free_ char *path = lease_path(root, name);
	int rv;

	resource = lease_resource_new(name, path, err);
	if (!resource || check_holder(root, name, resource, err) < 0)
		return -1;
	/* What is asked for is the version after the one that is held now: who takes the lease
	 * after that is not meant. */
	rv = sanlock_read_resource(resource, 0);
	if (rv < 0)
		return lockfile_error(err, 507, rv, "cannot read resource '%s'", name);
	resource->lver++;
	rv = sanlock_request(0, force ? SANLK_REQ_FORCE : SANLK_REQ_GRACEFUL, resource);
	if (rv < 0)
		return lockfile_error(
		    err, 503, rv, "cannot ask the holder of resource '%s' for it", name);
	return 0;
}
