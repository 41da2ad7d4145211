/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cloud-init CD of one boot: a file, its resource, and its place in the VM's inactive
 * definition. The registry's XML never has it, so that nobody starts a VM from there with it. The
 * caller holds the VM's lock, and the VM is off.
 */
#ifndef WORK_CLOUD_INIT_H
#define WORK_CLOUD_INIT_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/* Whether this VM can have a CD: 400 when no lease is left for it, 422 when it is not ours or
 * sleeps. */
int cloud_init_check(virDomainPtr domain, const struct domain_info *info, struct error *err);
/* Makes the CD from checked options and puts it into the definition. There must be none; what a
 * failure leaves is for cloud_init_drop. */
int cloud_init_attach(const struct work_env *env, virConnectPtr conn, virDomainPtr domain,
    const char *uuid, const struct cloud_init_option *options, size_t n, struct error *err);
/*
 * Deletes the resource and takes the CD out of the definition, wherever an earlier process left
 * them; the file stays. A VM that sleeps with its CD keeps it. Waits a little for a lease that
 * sanlock has not freed yet.
 */
int cloud_init_drop(const struct work_env *env, virConnectPtr conn, virDomainPtr domain,
    const char *uuid, struct error *err);
/* Deletes the resource and the file; the VM is undefined. */
int cloud_init_delete(const struct work_env *env, const char *uuid, struct error *err);

#endif
