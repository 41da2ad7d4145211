/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_HUGEPAGES_H
#define WORK_HUGEPAGES_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "proto/error.h"

/* Whether so many MiB can be in n pages of a size in KiB: QEMU takes whole ones, and no memory that
 * is smaller than one. */
bool hugepages_fit(unsigned int size, int64_t n, int64_t mib);

/*
 * Whether this host has the hugepages that a VM is to start on: 0, or -1 with a 422 that says how
 * many of which size there are. QEMU would take what it gets, and then give up without a figure.
 */
int hugepages_check(
    virDomainPtr domain, const char *host, const struct domain_info *info, struct error *err);

#endif
