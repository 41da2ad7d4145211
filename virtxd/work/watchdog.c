/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include "work/works.h"

int
work_watchdog(const void *request, void *result, struct error *err)
{
	const struct watchdog_request *req = request;
	struct watchdog_result *res = result;

	return watchdog_look(WATCHDOG_DEVICES, req->sanlock, &res->why, err);
}
