/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_VM_ALREADY_H
#define WORK_VM_ALREADY_H

#include <libvirt/libvirt.h>

#include "work/works.h"

/*
 * The VM is already as it was asked to become. Where that is enough: 0 with its report and nothing
 * set, else -1 with an error of this type.
 */
int vm_already(virDomainPtr domain, const struct work_env *env, const char *uuid, bool enough,
    enum error_type type, struct vm_result *res, struct error *err);

#endif
