/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system calls that are left to a confined program. */
#ifndef DISK_CONFINE_CALLS_H
#define DISK_CONFINE_CALLS_H

/* For the calling process, the programs that it runs, and for good: no other calls. It must have
 * given up new privileges. Safe after a fork. 0, also where the kernel has no filters, or a
 * negative errno. */
int confine_calls(void);

#endif
