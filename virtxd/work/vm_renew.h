/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions that were made before what is built today. */
#ifndef WORK_VM_RENEW_H
#define WORK_VM_RENEW_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/*
 * Brings the definition of a VM that is off up to what is built today, and registers it: its UEFI
 * variables move to the shared storage, its images are opened without what their headers name, and
 * it gets a lease of its own.
 * Cut off anywhere, the next call goes on. Nothing is done with a VM that VirtX did not make, or
 * whose memory was saved. Where both this host and the shared storage have variables, the later
 * ones are the VM's, and *warning, NULL or the caller's, tells it. The caller holds the VM's lock,
 * and no cloud-init CD is attached.
 */
int vm_renew(const struct work_env *env, virDomainPtr domain, const char *uuid, char **warning,
    struct error *err);

#endif
