/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "job/guard.h"

#include <event2/event.h>

#include "proto/log.h"

#define RENEWAL_FAILS 8	   /* io_timeouts after which sanlock calls its host_id lost */
#define WATCH_MS      2000 /* between looks at the jobs, and between jobs while something is wrong */
#define LOCKSPACE_MS  5000 /* between checks while it is joined */

/* What is asked by one job at a time. */
struct question {
	bool running;
	int64_t since;	 /* when that job began, monotonic ms */
	int64_t checked; /* when all was well last, monotonic ms */
	char *why;	 /* what is wrong, "" for nothing */
};

struct guard {
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	const struct work_env *env;
	guard_found found;
	void *arg;
	struct event *watch;
	struct question storage, lockspace;
};

/* Told once, where it changes. */
static void
set_why(struct question *question, const char *subsystem, const char *why)
{
	if (!str_empty(why) && !str_equal(question->why, why))
		log_warning(subsystem, "%s", why);
	str_set(&question->why, why);
}

static void
ask(struct guard *guard, struct question *question, enum work_id work, const void *request,
    job_done done)
{
	static struct log_limit limit;
	struct error err = { 0 };

	if (question->running)
		return;
	question->since = monotonic_ms();
	question->running =
	    job_start(guard->jobs, work, request, NULL, "", NULL, done, guard, &err) != NULL;
	if (!question->running)
		log_limited(&limit, 10, "job", "cannot start %s: %s", works[work].name, err.detail);
}

static void
lockspace_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;
	struct question *lockspace = &guard->lockspace;
	struct lockspace_result *res = result;
	int64_t took = monotonic_ms() - lockspace->since;

	lockspace->running = false;
	if (!res) {
		set_why(lockspace, "lockspace", err->detail);
		return;
	}
	/* After such a silence sanlock may be about to give the lockspace up: its next word counts.
	 */
	if (took > (int64_t)RENEWAL_FAILS * guard->env->io_timeout * 1000)
		return;
	lockspace->checked = monotonic_ms();
	if (!str_empty(lockspace->why))
		log_info("lockspace", "joined with host_id %d", res->lockid);
	set_why(lockspace, "lockspace", "");
	inventory_set_lockid(guard->inventory, res->lockid);
}

static void
ask_lockspace(struct guard *guard)
{
	struct lockspace_request req = { .env = *guard->env };

	if (!str_empty(guard->env->host) && str_empty(guard->storage.why))
		ask(guard, &guard->lockspace, WORK_LOCKSPACE, &req, lockspace_done);
}

static void
storage_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;
	struct question *storage = &guard->storage;
	bool found = result && !str_empty(storage->why);

	storage->running = false;
	if (result)
		storage->checked = monotonic_ms();
	set_why(storage, "storage", result ? "" : err->detail);
	if (!found)
		return;
	log_info("storage", "'%s' is storage '%s'", guard->env->root,
	    ((const struct storage *)result)->uuid);
	ask_lockspace(guard);
	guard->found(guard->arg);
}

static void
ask_storage(struct guard *guard)
{
	struct storage_request req = { .env = *guard->env };

	ask(guard, &guard->storage, WORK_STORAGE_CHECK, &req, storage_done);
}

/* Whether its job is silent for too long. */
static bool
is_silent(const struct guard *guard, const struct question *question)
{
	return question->running && str_empty(question->why) &&
	       monotonic_ms() - question->since > (int64_t)guard->config->answer_timeout * 1000;
}

static void
watch_due(evutil_socket_t fd, short what, void *arg)
{
	struct guard *guard = arg;
	int64_t now = monotonic_ms();

	if (is_silent(guard, &guard->storage))
		set_why(&guard->storage, "storage", "the shared storage does not answer");
	if (is_silent(guard, &guard->lockspace))
		set_why(&guard->lockspace, "lockspace", "sanlock does not answer");
	if (!str_empty(guard->storage.why))
		ask_storage(guard);
	if (!str_empty(guard->lockspace.why) || now - guard->lockspace.checked >= LOCKSPACE_MS)
		ask_lockspace(guard);
}

void
guard_check(struct guard *guard)
{
	ask_storage(guard);
	ask_lockspace(guard);
}

const char *
guard_storage_why(const struct guard *guard)
{
	return guard->storage.why;
}

const char *
guard_lockspace_why(const struct guard *guard)
{
	return guard->lockspace.why;
}

struct guard *
guard_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, const struct work_env *env, guard_found found, void *arg)
{
	struct guard *guard = xcalloc(1, sizeof(*guard));
	struct timeval tv = { WATCH_MS / 1000, 0 };

	*guard = (struct guard){
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.env = env,
		.found = found,
		.arg = arg,
		.storage.why = xstrdup("it has not been looked at yet"),
		.lockspace.why = xstrdup("it is not joined yet"),
	};
	guard->watch = event_new(base, -1, EV_PERSIST, watch_due, guard);
	event_add(guard->watch, &tv);
	ask_storage(guard);
	return guard;
}

void
guard_free(struct guard *guard)
{
	event_free(guard->watch);
	free(guard->storage.why);
	free(guard->lockspace.why);
	free(guard);
}
