/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_CPU_MODEL_H
#define WORK_CPU_MODEL_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "proto/model.h"

/*
 * Whether the libvirt of that host knows the CPU model that a VM names: 0, or -1 with a 422 that
 * says which it knows. libvirt itself defines what it does not know, and refuses to start it. The
 * model of old, the definition that it has, is not asked for again; NULL for none.
 */
int cpu_model_check(virConnectPtr conn, const char *host, const struct vmdef *def,
    const struct vmdef *old, struct error *err);
/*
 * By libvirt's words about one CPU on two hosts, for which both lack something: whether this is
 * more there than here. They end with a list of features, "..., required features: avx2, bmi2".
 */
bool cpu_model_lacks_more(const char *there, const char *here);

#endif
