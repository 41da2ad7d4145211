/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog: sanlock renews it by wdmd, and it resets the host whose leases others may take. */
#ifndef DISK_WATCHDOG_H
#define DISK_WATCHDOG_H

#include "proto/error.h"

#define WATCHDOG_DEVICES "/sys/class/watchdog"

/* What a sanlock daemon has said of its use of a watchdog, which is the same until it ends. */
struct watchdog_use {
	bool known;
	char *why; /* not, "" or NULL where it does */
};

/*
 * Whether one protects this host: *why becomes "" or what is missing (the caller frees). 503 when
 * that cannot be told: nothing is missing, but a daemon does not answer. sanlock: it is worth
 * asking, where use is not known; use is filled. Blocks: jobs only.
 */
int watchdog_look(
    const char *devices, bool sanlock, struct watchdog_use *use, char **why, struct error *err);

/* The parts of it. Each adds what it misses, in words. */
void watchdog_check_devices(const char *devices, struct buffer *why);
/* status is what `sanlock client status -D` prints; -1 when it does not tell. */
int watchdog_check_use(const char *status, struct buffer *why);

#endif
