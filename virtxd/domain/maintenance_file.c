/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/maintenance_file.h"

#include "domain/store.h"
#include "proto/json.h"
#include "proto/uuid.h"

#define NAME "maintenance"

/* Opens the host's directory; *path is the caller's. */
static int
open_place(
    const char *root, const char *host, bool make, bool *absent, char **path, struct error *err)
{
	char normal[37];

	*absent = false;
	if (store_check(host, "host", normal, err) < 0)
		return -1;
	*path = xasprintf("%s/xml/%s/" NAME, root, normal);
	return store_open(root, normal, make, absent, err);
}

/* What there is cannot be what was saved: nobody has to wait for the storage. */
static int
malformed(const char *path, const char *host, const char *why, struct error *err)
{
	return error_set(err, MAINTENANCE_FILE_DAMAGED,
	    "'%s' is malformed: %s; mend it, or let it be written anew: `virtx maintain host %s` "
	    "begins the maintenance and `virtx maintain host -e %s` ends it (where the host's VMs "
	    "have gone is not known then)",
	    path, why, host, host);
}

/* The VMs and hosts that are named; those of a moved VM are normal already. */
static int
check_names(const struct maintenance *maintenance, struct error *err)
{
	char normal[37];

	for (size_t i = 0; i < maintenance->n_vms; i++) {
		const struct maintenance_vm *vm = &maintenance->vms[i];

		if (uuid_normalize(str_or_empty(vm->vm), normal) < 0)
			return error_set(err, MAINTENANCE_FILE_DAMAGED,
			    "vms[%zu].vm: '%.64s' is no UUID", i, str_or_empty(vm->vm));
		if (!str_empty(vm->host) && uuid_normalize(vm->host, normal) < 0)
			return error_set(err, MAINTENANCE_FILE_DAMAGED,
			    "vms[%zu].host: '%.64s' is no UUID", i, vm->host);
	}
	return 0;
}

int
maintenance_file_save(
    const char *root, const char *host, const struct maintenance *maintenance, struct error *err)
{
	_free_ char *path = NULL, *text = NULL;
	_close_ int dir = -1;
	bool absent;
	size_t len;

	dir = open_place(root, host, maintenance->since != 0, &absent, &path, err);
	if (absent)
		return 0;
	if (dir < 0)
		return -1;
	if (!maintenance->since)
		return store_remove(dir, NAME, path, err);
	text = json_encode(&maintenance_model, maintenance, &len);
	/* It could not be loaded again. */
	if (len > STORE_FILE_MAX)
		return error_set(
		    err, 507, "what '%s' shall hold is longer than %d bytes", path, STORE_FILE_MAX);
	return store_save(dir, NAME, text, len, path, err);
}

int
maintenance_file_load(
    const char *root, const char *host, struct maintenance *ret, struct error *err)
{
	_free_ char *path = NULL, *text = NULL;
	struct error cause = { 0 };
	_close_ int dir = -1;
	bool absent;
	size_t len;

	dir = open_place(root, host, false, &absent, &path, err);
	if (absent)
		return 0;
	if (dir < 0)
		return -1;
	if (store_load(dir, NAME, path, &text, &len, err) < 0)
		return -1;
	if (!text)
		return 0;
	if (json_decode(&maintenance_model, text, len, ret, &cause) < 0 ||
	    check_names(ret, &cause) < 0) {
		model_clear(&maintenance_model, ret);
		return malformed(path, host, cause.detail, err);
	}
	/* That somebody made the file says enough. */
	if (ret->since <= 0)
		ret->since = now_ms();
	return 0;
}
