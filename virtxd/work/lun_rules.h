/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which LUNs a VM may get: those that the host's configuration leaves to VMs, that the host does
 * not use itself, and of whose content nothing is lost by it. Blocks: jobs only. */
#ifndef WORK_LUN_RULES_H
#define WORK_LUN_RULES_H

#include "work/requests.h"

/*
 * Of a LUN that a VM gets now, before anything is made. 422 for one that no pattern of env->luns
 * means, one that the host uses, and one that would be emptied while something is on it. 403 for
 * one with something on it that is to be managed, so that it is emptied with its VM, where neither
 * an admin asks nor the configuration names it.
 */
int lun_rules_check(
    const struct work_env *env, const struct disk *disk, bool admin, struct error *err);

#endif
