/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_NETS_H
#define WORK_NETS_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "proto/model.h"

/*
 * Whether the host of this libvirt has the networks and bridges of a VM's devices: 0, or -1 with a
 * 422. Those of old, the definition that it has, are not looked at again; NULL for none.
 */
int nets_check(virConnectPtr conn, const char *host, const struct vmdef *def,
    const struct vmdef *old, struct error *err);

#endif
