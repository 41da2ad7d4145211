/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a resident process remembers of VMs of which a reconciliation had nothing to tell: libvirt's
 * words for them, the state of their registry file, and which leases follow from that. It holds for
 * as long as both are the same. libvirt's words are, byte for byte, or since libvirtd has not
 * written any of the files from which it has them.
 */
#ifndef WORK_SEEN_DOMAINS_H
#define WORK_SEEN_DOMAINS_H

#include <libvirt/libvirt.h>

#include "work/libvirt_files.h"
#include "work/orphans.h"

/* libvirt's XML of a domain, as it is defined and, while it is on, as it runs (else NULL); and the
 * files of both, looked at before they were read. */
struct domain_text {
	char *definition, *live;
	struct libvirt_files files;
};
#define _domain_text_ __attribute__((cleanup(domain_text_clear)))

/* -1 where libvirt does not tell. */
int domain_text_read(const struct work_env *env, virDomainPtr domain, struct domain_text *ret);
void domain_text_clear(struct domain_text *text);

/* Begins a reconciliation: what the one before has not met is forgotten, and all where the
 * connection to libvirt is another one. libvirt: where its files are (borrowed until the next one);
 * NULL: it is asked for the XML of all. */
void seen_domains_begin(const struct work_env *env, const struct libvirt_dirs *libvirt);
void seen_domains_end(void);
/* Whether all of it is as it was; the leases of the VM are added to knowledge then. registered: it
 * has a file under this host. *text is zero, and may have been read where it returns. */
bool seen_domains_recall(const struct work_env *env, const char *uuid, bool registered,
    virDomainPtr domain, struct domain_text *text, struct orphan_knowledge *knowledge);
/*
 * Remembers a VM of which nothing was told, with the leases from number first on. before was read
 * ahead of all else; the domain is read again, and not remembered where it has changed meanwhile.
 */
void seen_domains_keep(const struct work_env *env, const char *uuid, bool registered,
    virDomainPtr domain, const struct domain_text *before, const struct orphan_knowledge *knowledge,
    size_t first);

#endif
