/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_presence.h"

#include "domain/journal.h"
#include "domain/registry.h"
#include "work/hypervisor.h"

/* A VM that moves from a host that was not asked yet to one that was is missed by one look through
 * the hosts; it does not move twice within two. */
#define LOOKS 2

/* 1: found, 0: a 404, -1: cannot tell. */
static int
found(int r, const struct error *cause, struct error *err)
{
	if (r == 0)
		return 1;
	if (error_is(cause, ERROR_NOT_FOUND))
		return 0;
	*err = *cause;
	return -1;
}

int
vm_presence(
    const struct work_env *env, virConnectPtr conn, const char *uuid, bool *ret, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	struct error cause = { 0 };
	char host[37];
	int r;

	/* The journal first: it goes when the registry has the VM. */
	r = found(journal_find(env->root, uuid, host, &cause), &cause, err);
	for (int i = 0; r == 0 && i < LOOKS; i++)
		r = found(registry_find(env->root, uuid, host, &cause), &cause, err);
	if (r == 0)
		r = found(hypervisor_find(conn, uuid, &domain, &cause), &cause, err);
	if (r < 0)
		return -1;
	*ret = r > 0;
	return 0;
}
