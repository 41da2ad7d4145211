/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/claim_risk.h"

#include "proto/util.h"
#include "virtx/writer.h"

#define POWERED_OFF \
	"Make sure that it is powered off: else VMs may run twice, and destroy their disks."

static void
add_timeouts(struct buffer *out, const struct ha_status *ha)
{
	buffer_printf(out, "an io_timeout of %d s and a watchdog that fires after %d s",
	    ha->io_timeout, ha->fire_timeout);
}

/* Its watchdog resets it before its leases are free where the host that takes them waits for as
 * long as it takes. */
static void
add_armed(struct buffer *out, const struct ha_status *ha, const struct host *to)
{
	buffer_printf(out, " was armed, with ");
	add_timeouts(out, ha);
	if (!to) {
		buffer_printf(out,
		    ". It has been reset by when its leases are free, if the host that takes them "
		    "is armed with the same timeouts, as 'virtx ha' shows. If not: ");
		buffer_printf(out, POWERED_OFF);
	} else if (!to->ha.armed) {
		buffer_printf(out, ", and host '%s' is not armed. ", str_or_empty(to->uuid));
		buffer_printf(out, POWERED_OFF);
	} else if (to->ha.io_timeout == ha->io_timeout && to->ha.fire_timeout == ha->fire_timeout) {
		buffer_printf(out, ": it has been reset by when its leases are free.");
	} else {
		buffer_printf(out, ", and host '%s' has ", str_or_empty(to->uuid));
		add_timeouts(out, &to->ha);
		buffer_printf(out, ": it may not have been reset when its leases are free. ");
		buffer_printf(out, POWERED_OFF);
	}
}

char *
claim_risk(const char *uuid, const struct host *host, const struct host *to)
{
	struct buffer out = { 0 };
	char time[WRITER_TIME_SIZE];

	if (!host) {
		buffer_printf(&out, "Whether host '%s' was armed is not known. ",
		    str_empty(uuid) ? "(not known)" : uuid);
		buffer_printf(&out, POWERED_OFF);
		return buffer_steal(&out, NULL);
	}
	buffer_printf(&out, "Host '%s' (%s, heard of last %s)", uuid,
	    enum_word(&cstate_enum, host->cstate),
	    host->ts ? writer_time(host->ts, time) : "at a time that is not known");
	if (!host->ha.armed)
		buffer_printf(
		    &out, " was not armed: nothing has reset it if it has only lost its leases. ");
	else if (host->watchdog != WATCHDOG_ON)
		buffer_printf(&out,
		    " was armed without a watchdog: nothing has reset it if it has only lost its "
		    "leases. ");
	else
		add_armed(&out, &host->ha, to);
	if (!host->ha.armed || host->watchdog != WATCHDOG_ON)
		buffer_printf(&out, POWERED_OFF);
	return buffer_steal(&out, NULL);
}
