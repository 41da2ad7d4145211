/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The watchdog: sanlock renews it by wdmd, and it resets the host whose leases others may take. */
#ifndef DISK_WATCHDOG_H
#define DISK_WATCHDOG_H

#include "disk/sanlock_status.h"

#define WATCHDOG_DEVICES "/sys/class/watchdog"

struct watchdog_use {
	bool known;		       /* sanlock has told: */
	struct sanlock_status sanlock; /* which is the same until it ends, or joins anew */
	int fire_timeout;	       /* s; wdmd's when it was asked last, 0: it did not tell */
};

/*
 * Whether one protects this host: *why becomes "" or what is missing (the caller frees). 503 when
 * that cannot be told: nothing is missing, but a daemon does not answer. sanlock: it is worth
 * asking, where use is not known; use is filled, and watchdog_forget frees what is in it. Blocks:
 * jobs only.
 */
int watchdog_look(
    const char *devices, bool sanlock, struct watchdog_use *use, char **why, struct error *err);
/* What sanlock has told does not count any more. */
void watchdog_forget(struct watchdog_use *use);

/* What wdmd tells of itself. */
struct watchdog_wdmd {
	int test_interval, fire_timeout; /* s */
	int64_t last_keepalive;		 /* s of CLOCK_MONOTONIC */
};

/* The parts of it. Each adds what it misses, in words. */
void watchdog_check_devices(const char *devices, struct buffer *why);
/* fire_timeout: what sanlock counts on, 0 where that is not known; now: s of CLOCK_MONOTONIC. */
void watchdog_check_wdmd(
    const struct watchdog_wdmd *wdmd, int fire_timeout, int64_t now, struct buffer *why);

#endif
