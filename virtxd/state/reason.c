/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/reason.h"

#include <string.h>

static const struct oplog_item *
find(const struct oplog_list *oplog, const char *op)
{
	for (size_t i = 0; i < oplog->n_items; i++) {
		if (str_equal(oplog->items[i].op, op))
			return &oplog->items[i];
	}
	return NULL;
}

static bool
has_failed(const struct oplog_item *item)
{
	return str_equal(item->status, "failed");
}

/* The operation, when it came after all that let the VM run. What has failed did neither. */
static const struct oplog_item *
find_latest(const struct oplog_list *oplog, const char *op)
{
	static const char *const runs[] = { "VmBoot", "VmResume", "VmMigrate" };
	const struct oplog_item *item = find(oplog, op);

	for (size_t i = 0; item && i < ARRAY_SIZE(runs); i++) {
		const struct oplog_item *run = find(oplog, runs[i]);

		if (run && !has_failed(run) && run->ts > item->ts)
			return NULL;
	}
	return item && !has_failed(item) ? item : NULL;
}

static bool
is_unprotected(const struct oplog_item *down)
{
	return strncmp(str_or_empty(down->msg), REASON_UNPROTECTED, strlen(REASON_UNPROTECTED)) ==
	       0;
}

static const struct oplog_item *
find_started(const struct oplog_list *oplog)
{
	const struct oplog_item *down = find(oplog, "VmShutdown");

	return down && str_equal(down->status, "started") && !is_unprotected(down) ? down : NULL;
}

static bool
has_come_since(const struct oplog_list *oplog, const struct oplog_item *item, const char *op)
{
	const struct oplog_item *other = find(oplog, op);

	return other && !has_failed(other) && other->ts > item->ts;
}

static bool
was_booted_since(const struct oplog_list *oplog, const struct oplog_item *down)
{
	return has_come_since(oplog, down, "VmBoot");
}

const struct oplog_item *
reason_asked_off(const struct oplog_list *oplog)
{
	const struct oplog_item *down = find_started(oplog);

	return down && !was_booted_since(oplog, down) ? down : NULL;
}

enum shutdown
reason_shutdown(const struct oplog_list *oplog, bool recorded, enum want want)
{
	const struct oplog_item *down = find_started(oplog);

	if (!down)
		return SHUTDOWN_NONE;
	if (was_booted_since(oplog, down))
		return SHUTDOWN_OVER;
	/* What ends a VM by force says so. */
	if (str_empty(down->msg) && (!recorded || want == WANT_OFF))
		return SHUTDOWN_WAITS;
	return SHUTDOWN_CUT_OFF;
}

enum reboot
reason_reboot(const struct oplog_list *oplog)
{
	const struct oplog_item *reboot = find(oplog, "VmReboot");

	if (!reboot || !str_equal(reboot->status, "started"))
		return REBOOT_NONE;
	if (has_come_since(oplog, reboot, "VmBoot") || has_come_since(oplog, reboot, "VmReset"))
		return REBOOT_DONE;
	return has_come_since(oplog, reboot, "VmShutdown") ? REBOOT_CANCELLED : REBOOT_WAITS;
}

char *
reason_explain(const char *told, const struct oplog_list *oplog, const char *loss)
{
	static const struct {
		const char *told;
		const char *op;
		const char *asked, *unasked;
	} rows[] = {
		{ REASON_PAUSED, "VmPause", "by VmPause", "by another program than VirtX" },
		{ REASON_SHUTDOWN, "VmShutdown", "as VmShutdown asked it to", "of its own accord" },
		{ REASON_DESTROYED, "VmShutdown", "by VmShutdown",
		    "by another program than VirtX" },
	};
	const struct oplog_item *boot = find(oplog, "VmBoot");
	const struct oplog_item *down = find_latest(oplog, "VmShutdown");

	if (str_equal(told, REASON_DESTROYED) && down && is_unprotected(down))
		return xasprintf("%s by %s", told, down->msg);
	if (!str_empty(loss) && !down)
		return xasprintf("its leases were lost: %s", loss);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_equal(told, rows[i].told))
			return xasprintf("%s %s", told,
			    find_latest(oplog, rows[i].op) ? rows[i].asked : rows[i].unasked);
	}
	if (str_equal(told, REASON_FAILED) && boot && !str_empty(boot->msg))
		return xasprintf("%s: %s", told, boot->msg);
	return xstrdup(told);
}
