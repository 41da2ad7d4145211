/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host that is armed tells the others of its leases, by a tag of its serf member, which
 * serf keeps when the host has failed: by what sanlock's host id it is known there, and after what
 * time without a renewal others may take its leases.
 */
#ifndef STATE_HOST_HA_H
#define STATE_HOST_HA_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_HA_SIZE	     64	  /* bytes of its text with the NUL */
#define HOST_HA_IDS	     2000 /* sanlock's host ids are 1 to this */
#define HOST_HA_IO_MAX	     60	  /* s, as the configuration has it */
#define HOST_HA_FIRE_MAX     600  /* s */
#define HOST_HA_RENEWAL_FAIL 8	  /* io_timeouts after which sanlock calls its host id lost */

struct host_ha {
	bool armed; /* all others are 0 where it is not */
	int host_id;
	uint64_t generation; /* of the host id: it grows each time the lockspace is joined */
	int io_timeout;	     /* sanlock's, s */
	int fire_timeout;    /* the watchdog's, s */
};

/* Reads HOST_ID:GENERATION:IO_TIMEOUT:FIRE_TIMEOUT, decimal: 0, or -1 for anything else, NULL among
 * it, where *ret is a host that is not armed. */
int host_ha_parse(const char *text, struct host_ha *ret);
/* The same text of a host that is armed, "" of one that is not. */
void host_ha_text(const struct host_ha *ha, char ret[HOST_HA_SIZE]);
/* Whether it is one that the others take. */
bool host_ha_is_valid(const struct host_ha *ha);
bool host_ha_equal(const struct host_ha *a, const struct host_ha *b);
/* The seconds after a host's last renewal until its leases may be taken. */
int host_ha_wait(const struct host_ha *ha);

#endif
