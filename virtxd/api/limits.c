/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/limits.h"

#include <string.h>

#include "ops/context.h"
#include "ops/known.h"
#include "proto/vmdef.h"

static bool
is_limited(const struct request *req)
{
	return req->caller && caller_is_limited(req->caller);
}

bool
limits_sees_vm(const struct context *ctx, const struct request *req, const char *uuid)
{
	const struct inventory_vm *view;

	if (!is_limited(req))
		return true;
	view = inventory_find_vm(ctx->inventory, str_or_empty(uuid));
	return view && caller_sees(req->caller, &view->vm.def);
}

bool
limits_sees_operation(
    const struct context *ctx, const struct request *req, const struct operation *operation)
{
	const struct caller *caller = req->caller;

	if (limits_sees_vm(ctx, req, operation->vm))
		return true;
	/* The VM of one may be gone. Another token may have had the name before. */
	return str_equal(operation->user, req->user) && caller->token_created > 0 &&
	       operation->ts >= caller->token_created;
}

int
limits_check_vm(const struct context *ctx, struct request *req)
{
	if (strncmp(req->route->path, "/vms/{uuid}", strlen("/vms/{uuid}")) != 0 ||
	    limits_sees_vm(ctx, req, req->param))
		return 0;
	known_reply_no_vm(ctx, req);
	return -1;
}

/* A managed disk is one VM's alone, which its job sees to, and a CD's image is read. Any other disk
 * may be that of a VM which is not there for who asks, and a device also the host's own. */
static bool
is_own_disk(const struct disk *disk)
{
	static const char iso[] = ".iso";
	size_t len = strlen(str_or_empty(disk->path));

	if (disk->device == DISK_DEVICE_CDROM)
		return len > strlen(iso) && strcmp(disk->path + len - strlen(iso), iso) == 0;
	return disk->device == DISK_DEVICE_DISK && disk->man == DISK_MAN_MODE_MANAGED;
}

/* What is there already may be anybody's: a VM that was deleted has left it, or somebody has put it
 * there, and nothing says for whom. */
static int
refuse_adopted(const struct request *req, const struct disk *disk, struct error *err)
{
	if (disk->man != DISK_MAN_MODE_MANAGED || disk->prov != DISK_PROV_MODE_NONE)
		return 0;
	return error_set_type(err, ERROR_ROLE,
	    "disk '%s': '%s' is limited to some VMs, and nothing says that an image which is there "
	    "already ('prov' 0) is theirs: with 'prov' 1 or 2 one is made, and who is not limited "
	    "can give the VM the one that is there",
	    str_or_empty(disk->path), req->user);
}

static int
check_disks(
    const struct request *req, const struct vmdef *def, const struct vmdef *is, struct error *err)
{
	const struct disk *disk, *before;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		before = is ? vmdef_find_disk(is, str_or_empty(disk->path)) : NULL;
		if (before && before->device == disk->device && before->man == disk->man)
			continue;
		if (!is_own_disk(disk))
			return error_set_type(err, ERROR_ROLE,
			    "disk '%s': '%s' is limited to some VMs, and may give them managed "
			    "disks, which are theirs alone, and CDs of .iso images",
			    str_or_empty(disk->path), req->user);
		if (refuse_adopted(req, disk, err) < 0)
			return -1;
	}
	return 0;
}

int
limits_check_def(
    const struct request *req, const struct vmdef *def, const struct vmdef *is, struct error *err)
{
	if (!is_limited(req))
		return 0;
	if (caller_keeps(req->caller, def))
		return check_disks(req, def, is, err);
	return error_set_type(err, ERROR_ROLE,
	    "vmdef.custom: '%s' may have VMs with the custom field '%s' of the value '%s' alone",
	    req->user, req->caller->only_name, req->caller->only_value);
}

struct custom_field
limits_field(const struct request *req)
{
	if (!is_limited(req))
		return (struct custom_field){ 0 };
	return (
	    struct custom_field){ (char *)req->caller->only_name, (char *)req->caller->only_value };
}
