/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the registry that are there, and do not hold what they are to: problems of this host. */
#ifndef WORK_DAMAGED_FILES_H
#define WORK_DAMAGED_FILES_H

#include "work/requests.h"

#define DAMAGED_REGISTRY    "registry-damaged"
#define DAMAGED_JOURNAL	    "journal-damaged"
#define DAMAGED_MAINTENANCE "maintenance-damaged" /* of no VM */

/* Whether the definition of a VM under this host can be read; adds the problem where it is known
 * that it cannot. *want (or NULL) is what the VM is wanted to be by it. */
bool damaged_files_check_registry(
    const struct work_env *env, const char *uuid, enum want *want, struct reconcile_result *res);
/* The same for its journal; true where the problem was added. */
bool damaged_files_check_journal(
    const struct work_env *env, const char *uuid, struct reconcile_result *res);
/* The same for what is kept of this host's maintenance. */
void damaged_files_check_maintenance(const struct work_env *env, struct reconcile_result *res);

#endif
