/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the sanlock daemon says of itself, which its library does not tell. */
#ifndef DISK_SANLOCK_STATUS_H
#define DISK_SANLOCK_STATUS_H

#include <stdint.h>

#include "proto/error.h"

#define SANLOCK_FIRE_TIMEOUT 60 /* s; the watchdog's, of a sanlock that does not tell it */

struct sanlock_status {
	char *host_name; /* our_host_name */
	char *start;	 /* a text that is another one after each start */
	bool use_watchdog;
	int fire_timeout; /* that others count on, s */
	/* The lockspace as it was joined last; all are 0 while it is not. */
	int host_id;
	uint64_t generation;
	int io_timeout;	  /* s */
	int64_t acquired; /* when, s of CLOCK_MONOTONIC */
};

/* Asks it by its program. Blocks: jobs only. 503 where it does not tell what the above is. */
int sanlock_status_read(struct sanlock_status *ret, struct error *err);
/* The same of what `sanlock client status -D` prints; ret is zero, the caller clears it. */
int sanlock_status_parse(const char *text, struct sanlock_status *ret, struct error *err);
void sanlock_status_clear(struct sanlock_status *status);

/*
 * Why its name cannot tell one start from the next: *why becomes the reason, "" for none (the
 * caller frees). The last two names are kept in the file at path. A daemon that comes back under
 * its name takes its host id back at once, and with it other hosts the leases of VMs that run on.
 * -1 where the file cannot be read or written.
 */
int sanlock_status_check_name(
    const struct sanlock_status *status, const char *path, char **why, struct error *err);

#endif
