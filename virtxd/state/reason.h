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

/* The shutdown that who uses the API has asked for since the VM was booted, and whose end is not
 * written down yet; NULL for none. Borrowed. */
const struct oplog_item *reason_asked_off(const struct oplog_list *oplog);

/* A shutdown that is "started" in the log of a VM that is on, while no job is at it. */
enum shutdown {
	SHUTDOWN_NONE,	  /* there is none, or it is that of kill_unprotected, which tries again */
	SHUTDOWN_WAITS,	  /* the guest was asked, and has not obeyed yet */
	SHUTDOWN_OVER,	  /* the VM was booted since, and so was off */
	SHUTDOWN_CUT_OFF, /* its job had not come to libvirt, or libvirt did not do it */
};
/* recorded tells whether want is known of the VM: it says off before its guest is asked. */
enum shutdown reason_shutdown(const struct oplog_list *oplog, bool recorded, enum want want);

/* How long after it was asked a guest that goes off does so to reboot, ms; 10 minutes. */
#define REASON_REBOOT_MS INT64_C(600000)

/* A reboot that is "started" in the log of a VM. */
enum reboot {
	REBOOT_NONE,	  /* there is none */
	REBOOT_WAITS,	  /* the guest was asked, or is off by now, and not booted again yet */
	REBOOT_DONE,	  /* the VM was booted or reset since */
	REBOOT_CANCELLED, /* it was shut down since, or asked to */
};
enum reboot reason_reboot(const struct oplog_list *oplog);

/* told (NULL: nothing) with by whom, and why. loss is why its leases were lost when it ended (NULL
 * or "": they were not); the caller's. */
char *reason_explain(const char *told, const struct oplog_list *oplog, const char *loss);

#endif
