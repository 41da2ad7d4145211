/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_presence.h"

#include "domain/journal.h"
#include "domain/registry.h"
#include "work/hypervisor.h"

/* A VM that moves from a host that was not asked yet to one that was is missed by one look through
 * the hosts; it does not move twice within two. */
#define LOOKS 2

int
vm_presence(
    const struct work_env *env, virConnectPtr conn, const char *uuid, bool *ret, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	char host[37];

	/* The journal first: it goes when the registry has the VM. */
	if (journal_find(env->root, uuid, host, err) < 0)
		return -1;
	for (int i = 0; !host[0] && i < LOOKS; i++) {
		if (registry_find(env->root, uuid, host, err) < 0)
			return -1;
	}
	if (!host[0] && hypervisor_look_up(conn, uuid, &domain, err) < 0)
		return -1;
	*ret = host[0] || domain;
	return 0;
}
