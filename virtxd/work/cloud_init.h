/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cloud-init CD of one boot: a file, its resource, and its place in what the VM is started
 * from. Neither libvirt's definition nor the registry's ever has it, so that nobody starts the VM
 * from there with it; the definition bears a mark, by which the resource is given up when the VM is
 * off. The caller holds the VM's lock, and the VM is off.
 */
#ifndef WORK_CLOUD_INIT_H
#define WORK_CLOUD_INIT_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"
#include "work/requests.h"

/* Whether this VM can have a CD: 422 when it is not ours or sleeps. */
int cloud_init_check(virDomainPtr domain, const struct domain_info *info, struct error *err);
/* Makes the CD from checked options, marks the definition, and starts the VM with it. There must be
 * none; what a failure leaves is for cloud_init_drop. */
int cloud_init_start(const struct work_env *env, virDomainPtr domain, const char *uuid,
    const struct cloud_init_option *options, size_t n, struct error *err);
/*
 * Deletes the resource and takes the mark out of the definition, or the CD of an older boot,
 * wherever an earlier process left them; the file stays. A VM that sleeps with its CD keeps it.
 * Waits a little for a lease that sanlock has not freed yet.
 */
int cloud_init_drop(const struct work_env *env, virConnectPtr conn, virDomainPtr domain,
    const char *uuid, struct error *err);
/* Deletes the resource and the file; the VM is undefined. */
int cloud_init_delete(const struct work_env *env, const char *uuid, struct error *err);

#endif
