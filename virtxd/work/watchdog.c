/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/watchdog.h"

#include "disk/lease.h"
#include "proto/log.h"
#include "work/works.h"

/* What others may count on, where sanlock has said it of the lockspace as it is joined now. */
static void
tell_lockspace(
    const struct watchdog_use *use, int host_id, uint64_t generation, struct watchdog_result *res)
{
	const struct sanlock_status *status = &use->sanlock;

	if (!use->known || status->host_id != host_id || status->generation != generation)
		return;
	res->host_id = host_id;
	res->generation = (int64_t)generation;
	res->io_timeout = status->io_timeout;
	res->fire_timeout = status->fire_timeout;
	res->joined = monotonic_ms() / 1000 - status->acquired;
}

static void
check_name(const struct work_env *env, const struct watchdog_use *use, struct watchdog_result *res)
{
	_free_ char *path = xasprintf("%s/sanlock-starts", env->run_dir);
	struct error err = { 0 };

	if (sanlock_status_check_name(&use->sanlock, path, &res->name_why, &err) < 0)
		res->name_why = xstrdup(err.detail);
}

int
work_watchdog(const void *request, void *result, struct error *err)
{
	/* Kept in a resident process. */
	static struct watchdog_use use;
	static int32_t daemon;
	const struct watchdog_request *req = request;
	struct watchdog_result *res = result;
	uint64_t generation = 0;
	struct error cause = { 0 };
	int host_id = 0, joined = 1;

	/* While it does not answer, nothing that it has said counts. */
	if (!req->sanlock || req->sanlock != daemon)
		watchdog_forget(&use);
	daemon = req->sanlock;
	if (req->sanlock)
		joined = lockspace_self(req->env.root, &host_id, &generation, &cause);
	if (joined < 0)
		log_debug("job", "%s", cause.detail);
	if (joined == 0 && (use.sanlock.host_id != host_id || use.sanlock.generation != generation))
		watchdog_forget(&use);
	if (watchdog_look(WATCHDOG_DEVICES, req->sanlock != 0, &use, &res->why, err) < 0)
		return -1;
	if (use.known)
		check_name(&req->env, &use, res);
	if (joined == 0)
		tell_lockspace(&use, host_id, generation, res);
	return 0;
}
