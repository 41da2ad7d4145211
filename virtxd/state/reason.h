/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why a VM stands still: what libvirt tells, and what the VM's operation log adds. */
#ifndef STATE_REASON_H
#define STATE_REASON_H

#include "proto/model.h"

/* What libvirt tells where the log tells by whom. */
#define REASON_PAUSED	 "it was paused"
#define REASON_SHUTDOWN	 "the guest shut down"
#define REASON_DESTROYED "it was ended by force"
#define REASON_FAILED	 "it could not start"

/* What the log's VmShutdown begins with where the configuration had the VM ended. */
#define REASON_UNPROTECTED "kill_unprotected"

/* told (NULL: nothing) with by whom, and why. loss is why its leases were lost when it ended (NULL
 * or "": they were not); the caller's. */
char *reason_explain(const char *told, const struct oplog_list *oplog, const char *loss);

#endif
