/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/libvirt_files.h"

#include "proto/util.h"

const struct libvirt_dirs libvirt_system = {
	.uri = "qemu:///system",
	.definitions = "/etc/libvirt/qemu",
	.states = "/run/libvirt/qemu",
};

static bool
look(const char *dir, virDomainPtr domain, struct stat *ret)
{
	_free_ char *path = xasprintf("%s/%s.xml", dir, virDomainGetName(domain));

	return lstat(path, ret) == 0 && S_ISREG(ret->st_mode) && file_state_is_settled(ret);
}

void
libvirt_files_look(const struct libvirt_dirs *dirs, const char *uri, virDomainPtr domain,
    struct libvirt_files *ret)
{
	*ret = (struct libvirt_files){ .on = virDomainGetID(domain) != (unsigned int)-1 };
	ret->known = dirs && str_equal(uri, dirs->uri) &&
		     look(dirs->definitions, domain, &ret->definition) &&
		     (!ret->on || look(dirs->states, domain, &ret->state));
}

bool
libvirt_files_are_same(const struct libvirt_files *a, const struct libvirt_files *b)
{
	return a->known && b->known && a->on == b->on &&
	       file_state_is_same(&a->definition, &b->definition) &&
	       (!a->on || file_state_is_same(&a->state, &b->state));
}
