/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM is wanted to be, on or off, as its definition records it, and the registry of its host
 * for those that cannot ask that host any more. libvirt's definition is written first; where the
 * registry says something else, it is told. The caller holds the VM's lock.
 */
#ifndef WORK_WANTED_H
#define WORK_WANTED_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/* Writes it into the definition, of a VM that is on into the live one, too, unless info tells that
 * it is there; info tells it then. Nothing is written where there is no definition, or none of
 * VirtX. */
int wanted_define(
    virDomainPtr domain, struct domain_info *info, enum want want, bool excused, struct error *err);
/* Has the registry of this host say what libvirt's definition does. A VM that it does not have
 * stays out. */
int wanted_register(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err);
/* The same for what info tells. What fails is told in *warning (NULL or the caller's): the next
 * reconciliation sees to it. */
void wanted_tell(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    char **warning);

/* Whether a VM with this state of libvirt's is on, and not just coming or going. */
bool wanted_is_on(int state, int reason);
/* Whether the log has a boot that is begun. With no job of the VM under way it was cut off, and
 * that the VM is off is from before. */
bool wanted_is_booting(const struct oplog_list *oplog);
/*
 * Writes down what follows from how the VM is now, by libvirt's state and reason. What runs is
 * wanted on, unless it waits for its guest to shut down; what was asked to, and is off, is wanted
 * off, and so is what its guest has powered off. A guest that goes off with its host is not asked
 * for its wish, nor is one that was ended, as req tells. To be called before the operation log is
 * healed.
 */
int wanted_heal(const struct vm_heal_request *req, virDomainPtr domain, struct domain_info *info,
    int state, int reason, struct error *err);

#endif
