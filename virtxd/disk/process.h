/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of this host, told from those that have their number later. */
#ifndef DISK_PROCESS_H
#define DISK_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "proto/error.h"

/* When it began, in ticks since the host was booted; -1 where there is none, or it has ended and is
 * not reaped yet. */
int64_t process_start(pid_t pid);
/* Kills the process that began then, which may take a while to end; 1 where it is no more, or -1
 * with a 503. */
int process_kill(pid_t pid, int64_t start, struct error *err);

#endif
