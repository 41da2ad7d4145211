/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The LUNs of a VM as this host has them. */
#ifndef WORK_VM_LUNS_H
#define WORK_VM_LUNS_H

#include "proto/error.h"
#include "work/requests.h"

/*
 * Whether this host could open the LUNs of a VM that another host has, by its definition in the
 * registry: 422 for one that is not here, or that is another LUN here. A VM that the registry does
 * not have passes.
 */
int vm_luns_check(const struct work_env *env, const char *uuid, struct error *err);

#endif
