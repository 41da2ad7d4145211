/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include "work/works.h"

int
work_watchdog(const void *request, void *result, struct error *err)
{
	/* Kept in a resident process. */
	static struct watchdog_use use;
	static int32_t daemon;
	const struct watchdog_request *req = request;
	struct watchdog_result *res = result;

	/* While it does not answer, nothing that it has said counts. */
	use.known = use.known && req->sanlock && req->sanlock == daemon;
	daemon = req->sanlock;
	return watchdog_look(WATCHDOG_DEVICES, req->sanlock != 0, &use, &res->why, err);
}
