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

int
lease_recall(const char *root, const char *name, bool force, struct error *err)
{
	_free_ struct sanlk_resource *resource = NULL;
	_free_ char *path = lease_path(root, name);
	int rv;

	resource = lease_resource_new(name, path, err);
	if (!resource)
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
