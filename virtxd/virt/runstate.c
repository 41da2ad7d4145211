/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of what libvirt says to what we say; what they do not name is new to us. */
#include "virt/runstate.h"

#include <libvirt/libvirt.h>

#include "state/reason.h"

#define ANY -1 /* any reason or detail; such rows come last */

static const struct {
	int state;
	int reason;
	enum vmrunstate runstate;
} states[] = {
	{ VIR_DOMAIN_RUNNING, ANY, VMRUNSTATE_RUNNING },
	{ VIR_DOMAIN_BLOCKED, ANY, VMRUNSTATE_PAUSED },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, VMRUNSTATE_MIGRATING },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, VMRUNSTATE_MIGRATING },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SHUTTING_DOWN, VMRUNSTATE_TERMINATING },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, VMRUNSTATE_CRASHED },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, VMRUNSTATE_STARTUP },
	{ VIR_DOMAIN_PAUSED, ANY, VMRUNSTATE_PAUSED },
	{ VIR_DOMAIN_SHUTDOWN, ANY, VMRUNSTATE_TERMINATING },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, VMRUNSTATE_CRASHED },
	{ VIR_DOMAIN_SHUTOFF, ANY, VMRUNSTATE_POWEROFF },
	{ VIR_DOMAIN_CRASHED, ANY, VMRUNSTATE_CRASHED },
	{ VIR_DOMAIN_PMSUSPENDED, ANY, VMRUNSTATE_PMSUSPENDED },
};

static const struct {
	int event;
	int detail;
	enum vmrunstate runstate;
} events[] = {
	{ VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_RENAMED, VMRUNSTATE_NONE },
	{ VIR_DOMAIN_EVENT_UNDEFINED, ANY, VMRUNSTATE_DELETED },
	/* It is transient, and no VM of this host, until the other side has let go. */
	{ VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED, VMRUNSTATE_NONE },
	{ VIR_DOMAIN_EVENT_STARTED, ANY, VMRUNSTATE_RUNNING },
	{ VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED, VMRUNSTATE_MIGRATING },
	{ VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY, VMRUNSTATE_MIGRATING },
	{ VIR_DOMAIN_EVENT_SUSPENDED, ANY, VMRUNSTATE_PAUSED },
	{ VIR_DOMAIN_EVENT_RESUMED, ANY, VMRUNSTATE_RUNNING },
	{ VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED, VMRUNSTATE_CRASHED },
	{ VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED, VMRUNSTATE_NONE },
	/* Of a QEMU that died and of one that did not start: only the state tells which. */
	{ VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED, VMRUNSTATE_NONE },
	{ VIR_DOMAIN_EVENT_STOPPED, ANY, VMRUNSTATE_POWEROFF },
	{ VIR_DOMAIN_EVENT_SHUTDOWN, ANY, VMRUNSTATE_TERMINATING },
	{ VIR_DOMAIN_EVENT_PMSUSPENDED, ANY, VMRUNSTATE_PMSUSPENDED },
	{ VIR_DOMAIN_EVENT_CRASHED, ANY, VMRUNSTATE_CRASHED },
};

enum vmrunstate
runstate_from_state(int state, int reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (states[i].state == state &&
		    (states[i].reason == reason || states[i].reason == ANY))
			return states[i].runstate;
	}
	return VMRUNSTATE_NONE;
}

static const struct {
	int state;
	int reason;
	const char *text;
} reasons[] = {
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, REASON_PAUSED },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, "its memory is being saved" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP, "its memory is being dumped" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, "I/O error" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG, "the guest's watchdog fired" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, "it was restored from a snapshot" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, "the guest crashed" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SNAPSHOT, "a snapshot is being made" },
	{ VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, "a post-copy migration failed" },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, REASON_SHUTDOWN },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, REASON_DESTROYED },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, "its process died" },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SAVED, "its memory was saved" },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, REASON_FAILED },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT, "it was restored from a snapshot" },
	{ VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DAEMON, "libvirt did not find its process again" },
	{ VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED, "the guest panicked" },
};

const char *
runstate_reason(int state, int reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].state == state && reasons[i].reason == reason)
			return reasons[i].text;
	}
	return "";
}

enum vmrunstate
runstate_from_event(int event, int detail, bool *migrated)
{
	*migrated =
	    event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (events[i].event == event &&
		    (events[i].detail == detail || events[i].detail == ANY))
			return events[i].runstate;
	}
	return VMRUNSTATE_NONE;
}

bool
runstate_is_signal(int event, int detail)
{
	return event == VIR_DOMAIN_EVENT_SHUTDOWN && detail == VIR_DOMAIN_EVENT_SHUTDOWN_HOST;
}
