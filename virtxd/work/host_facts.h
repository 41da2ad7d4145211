/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host is and how much of it is free. */
#ifndef WORK_HOST_FACTS_H
#define WORK_HOST_FACTS_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "state/report.h"

/* definition: also what never changes while the host is up. ret must be zero. */
int host_facts_read(
    virConnectPtr conn, bool definition, struct host_report *ret, struct error *err);

#endif
