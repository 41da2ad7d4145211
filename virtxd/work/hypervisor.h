/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt as the jobs use it: one connection, which ends with the job but in a resident process,
 * and errors in libvirt's own words. */
#ifndef WORK_HYPERVISOR_H
#define WORK_HYPERVISOR_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "state/report.h"

#define _connect_     __attribute__((cleanup(hypervisor_close)))
#define _connect_to_  __attribute__((cleanup(hypervisor_close_to)))
#define _domain_      __attribute__((cleanup(hypervisor_free_domain)))
#define _domain_info_ __attribute__((cleanup(domain_info_clear)))
#define _domain_caps_ __attribute__((cleanup(domain_caps_clear)))

void hypervisor_close(virConnectPtr *conn);
void hypervisor_close_to(virConnectPtr *conn);
void hypervisor_free_domain(virDomainPtr *domain);

/* 503 when libvirt cannot be reached. A resident process keeps one connection, which is asked
 * whether it still works, and made anew where it does not. */
int hypervisor_open(const char *uri, virConnectPtr *ret, struct error *err);
/* How many such connections it has had: another number means another libvirtd, perhaps. */
unsigned int hypervisor_connections(void);
/* The same to another host (its uuid), which may vanish at any time: if it is not through in a
 * minute with all that is asked of it until hypervisor_close_to, the job ends with a 503. One at a
 * time. */
int hypervisor_open_to(const char *host, const char *uri, virConnectPtr *ret, struct error *err);
/* Sets err to the message and libvirt's last error; returns -1. */
int hypervisor_error(struct error *err, int status, const char *fmt, ...) PRINTF(3, 4);
/* *ret is NULL when this host has no such VM. */
int hypervisor_look_up(virConnectPtr conn, const char *uuid, virDomainPtr *ret, struct error *err);
/* The same of one that has to be there: else a 404. */
int hypervisor_find(virConnectPtr conn, const char *uuid, virDomainPtr *ret, struct error *err);
/* The capabilities, read. ret must be zero. */
int hypervisor_caps(virConnectPtr conn, struct domain_caps *ret, struct error *err);
/* The host's uuid, which is read once from a connection that is kept. */
int hypervisor_host(virConnectPtr conn, char ret[VIR_UUID_STRING_BUFLEN], struct error *err);
/*
 * Whether the domain is a VM of this host: libvirt has its definition, or it is ours and runs on
 * without one (`virsh undefine`). A migration that comes in is none yet, and neither is the
 * transient domain of somebody else.
 */
bool hypervisor_counts(virDomainPtr domain, const char *root);
/* Whether a domain without a definition has not run here: a migration that comes in. */
bool hypervisor_arrives(int state, int reason);
/* Whether a VM in that state may stand still since `virsh restore --paused`: libvirt gives the same
 * reason for that and for the end of a migration, and hypervisor_runstate asks which it is. */
bool hypervisor_may_be_restored(int state, int reason);
/* The run state now. */
int hypervisor_runstate(virDomainPtr domain, enum vmrunstate *ret, struct error *err);
/* The inactive definition, read. ret must be zero. */
int hypervisor_info(
    virDomainPtr domain, const char *root, struct domain_info *ret, struct error *err);
/* Run state, definition and operation log of one VM. ret must be zero. */
int hypervisor_report(
    virDomainPtr domain, const char *root, struct vm_report *ret, struct error *err);

#endif
