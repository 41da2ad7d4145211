/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "job/guard.h"

#include <event2/event.h>

#include "job/sanlock_link.h"
#include "proto/log.h"

#define RENEWAL_FAILS 8	   /* io_timeouts after which sanlock calls its host_id lost */
#define WATCH_MS      1000 /* between looks at sanlock's process and the jobs */
#define AGAIN_MS      2000 /* between jobs while something is wrong */
#define WATCH_SECONDS 20   /* that one child watches the lockspace */

#define UNSEEN "it has not been looked at yet"

/* What is said of the lockspace while nothing is wrong with it. */
#define JOINS	      "it is being joined"
#define WAITS_LIBVIRT "it is joined when libvirt has told this host's uuid"
#define WAITS_STORAGE "it is joined when the storage is there"

/* What is asked by one job at a time. */
struct question {
	bool running;
	int64_t since; /* when that job began, monotonic ms */
	char *why;     /* what is wrong, "" for nothing */
};

struct guard {
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	const struct work_env *env;
	guard_changed changed;
	void *arg;
	struct event *timer;
	struct question storage, lockspace, watchdog;
	bool watchdog_known; /* it was answered once */
	struct sanlock_link *link;
	char *link_why;	       /* why sanlock itself cannot answer, "" for nothing */
	int64_t link_since;    /* since when, monotonic ms */
	bool doubtful;	       /* sanlock's next answer does not count */
	struct question watch; /* its since is the last word; of its why nobody asks */
	bool lost;	       /* a lockspace that was joined, a while ago at most */
	int64_t lost_until;    /* when it counts no more, monotonic ms */
};

/* Told once, where it changes. */
static void
set_why(struct guard *guard, char **what, const char *subsystem, const char *why)
{
	bool changes = str_empty(*what) != str_empty(why);

	if (!str_empty(why) && !str_equal(*what, why))
		log_warning(subsystem, "%s", why);
	str_set(what, why);
	if (changes)
		guard->changed(guard->arg);
}

static void
ask(struct guard *guard, struct question *question, enum work_id work, const void *request,
    job_progress progress, job_done done)
{
	static struct log_limit limit;
	struct error err = { 0 };

	if (question->running)
		return;
	question->since = monotonic_ms();
	question->running =
	    job_start(guard->jobs, work, request, NULL, "", progress, done, guard, &err) != NULL;
	if (!question->running)
		log_limited(&limit, 10, "job", "cannot start %s: %s", works[work].name, err.detail);
}

/* After which sanlock gives a lockspace up that it could not renew. */
static int64_t
renewal_ms(const struct guard *guard)
{
	return (int64_t)RENEWAL_FAILS * guard->env->io_timeout * 1000;
}

static bool
is_long(const struct guard *guard, int64_t ms)
{
	return ms > renewal_ms(guard);
}

/* The lockspace was joined, and is not any more: what ends the VMs now. */
static void
lose(struct guard *guard, const char *why)
{
	if (!guard->lost)
		inventory_set_loss(guard->inventory, why);
	guard->lost = true;
	guard->lost_until = monotonic_ms() + renewal_ms(guard);
}

/* sanlock goes on ending VMs for a while after it is joined anew. */
static void
check_loss(struct guard *guard)
{
	int64_t now = monotonic_ms();

	if (!guard->lost)
		return;
	if (!str_empty(guard_lockspace_why(guard)))
		guard->lost_until = now + renewal_ms(guard);
	if (now < guard->lost_until)
		return;
	guard->lost = false;
	inventory_set_loss(guard->inventory, "");
}

static void ask_storage(struct guard *guard);

static void
lockspace_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;
	struct question *lockspace = &guard->lockspace;
	struct lockspace_result *res = result;
	int64_t took = monotonic_ms() - lockspace->since;
	bool doubtful = guard->doubtful, joins;

	lockspace->running = guard->doubtful = false;
	if (!res) {
		if (str_empty(lockspace->why) && err->status == 503)
			lose(guard, err->detail);
		set_why(guard, &lockspace->why, "lockspace", err->detail);
		return;
	}
	/* After such a silence sanlock may be about to give the lockspace up: its next word counts.
	 */
	if (is_long(guard, took) || doubtful)
		return;
	if (!str_empty(lockspace->why))
		log_info("lockspace", "joined with host_id %d", res->lockid);
	joins = !str_empty(lockspace->why);
	set_why(guard, &lockspace->why, "lockspace", "");
	inventory_set_lockid(guard->inventory, res->lockid);
	/* A host that is in it looks closer. */
	if (joins)
		ask_storage(guard);
}

static void
ask_lockspace(struct guard *guard)
{
	struct lockspace_request req = {
		.env = *guard->env,
		.kill = guard->config->kill_unprotected,
	};
	const char *waits = str_empty(guard->env->host)	     ? WAITS_LIBVIRT
			    : !str_empty(guard->storage.why) ? WAITS_STORAGE
							     : NULL;
	char **why = &guard->lockspace.why;

	if (waits && !str_empty(*why))
		str_set(why, waits);
	if (waits || !str_empty(guard->link_why))
		return;
	if (str_equal(*why, WAITS_LIBVIRT) || str_equal(*why, WAITS_STORAGE))
		str_set(why, JOINS);
	ask(guard, &guard->lockspace, WORK_LOCKSPACE, &req, NULL, lockspace_done);
}

static void
watch_progress(void *arg, int percent, enum work_stage stage)
{
	struct guard *guard = arg;

	guard->watch.since = monotonic_ms();
}

static void
watch_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;

	guard->watch.running = false;
	if (!result && err->status == 503)
		lose(guard, err->detail);
	if (result || !str_empty(guard->lockspace.why))
		return;
	set_why(guard, &guard->lockspace.why, "lockspace", err->detail);
	ask_lockspace(guard);
}

static void
watch_lockspace(struct guard *guard)
{
	struct lockspace_watch_request req = { .env = *guard->env, .seconds = WATCH_SECONDS };

	if (str_empty(guard_lockspace_why(guard)))
		ask(guard, &guard->watch, WORK_LOCKSPACE_WATCH, &req, watch_progress, watch_done);
}

static void
link_ended(void *arg)
{
	struct guard *guard = arg;

	/* What is being asked may be answered by the one that was there before. */
	guard->doubtful = guard->lockspace.running;
	if (str_empty(guard->lockspace.why))
		lose(guard, "sanlock has ended");
	set_why(guard, &guard->lockspace.why, "lockspace", "sanlock has ended");
}

/* What it was when sanlock could not answer has to be asked again. */
static void
check_link(struct guard *guard)
{
	bool before = str_empty(guard->link_why);
	struct error err = { 0 };
	bool now = sanlock_link_check(guard->link, &err) == 0;

	if (before && !now)
		guard->link_since = monotonic_ms();
	if (!before && now) {
		guard->doubtful = is_long(guard, monotonic_ms() - guard->link_since);
		str_set(&guard->lockspace.why, JOINS);
	}
	set_why(guard, &guard->link_why, "lockspace", now ? "" : err.detail);
}

/* One that was not looked at yet is no problem. */
static void
set_storage_why(struct guard *guard, const char *why)
{
	inventory_set_storage(guard->inventory, why);
	set_why(guard, &guard->storage.why, "storage", why);
}

static void
storage_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;
	struct question *storage = &guard->storage;
	bool found = result && !str_empty(storage->why);

	storage->running = false;
	if (found)
		log_info("storage", "'%s' is storage '%s'", guard->env->root,
		    ((const struct storage *)result)->uuid);
	set_storage_why(guard, result ? "" : err->detail);
	if (found)
		ask_lockspace(guard);
}

static void
ask_storage(struct guard *guard)
{
	struct storage_request req = { .env = *guard->env };

	ask(guard, &guard->storage, WORK_STORAGE_CHECK, &req, NULL, storage_done);
}

/* The inventory may come to know this host only later. */
static void
tell_watchdog(struct guard *guard)
{
	if (guard->watchdog_known)
		inventory_set_watchdog(guard->inventory, inventory_self(guard->inventory),
		    str_empty(guard->watchdog.why) ? WATCHDOG_ON : WATCHDOG_OFF);
}

/* What is not answered stays as it was known. */
static void
watchdog_done(void *arg, void *result, const struct error *err)
{
	struct guard *guard = arg;
	const struct watchdog_result *res = result;
	char **why = &guard->watchdog.why;

	guard->watchdog.running = false;
	if (!res) {
		if (!guard->watchdog_known)
			str_set(why, err->detail);
		return;
	}
	if (!guard->watchdog_known || !str_equal(*why, res->why)) {
		if (str_empty(res->why))
			log_info("lockspace", "a watchdog protects this host");
		else
			log_warning("lockspace", "no watchdog protects this host: %s", res->why);
	}
	guard->watchdog_known = true;
	str_set(why, res->why);
	tell_watchdog(guard);
}

/* By a job of its own, behind all others: nothing waits for the answer. */
static void
ask_watchdog(struct guard *guard)
{
	bool sanlock = str_empty(guard->link_why);
	struct watchdog_request req = { .sanlock = sanlock };
	int64_t period = (int64_t)guard->config->collect_period * 1000;

	tell_watchdog(guard);
	if (!guard->watchdog_known && sanlock)
		period = AGAIN_MS;
	if (monotonic_ms() - guard->watchdog.since >= period)
		ask(guard, &guard->watchdog, WORK_WATCHDOG, &req, NULL, watchdog_done);
}

static bool
is_silent(const struct guard *guard, const struct question *question)
{
	return question->running &&
	       monotonic_ms() - question->since > (int64_t)guard->config->answer_timeout * 1000;
}

static bool
is_due(const struct question *question)
{
	return !str_empty(question->why) && monotonic_ms() - question->since >= AGAIN_MS;
}

static void
timer_due(evutil_socket_t fd, short what, void *arg)
{
	struct guard *guard = arg;

	check_link(guard);
	if (is_silent(guard, &guard->storage))
		set_storage_why(guard, "the shared storage does not answer");
	/* The job that joins reads the storage as well. */
	if ((is_silent(guard, &guard->watch) ||
		(is_silent(guard, &guard->lockspace) && !is_silent(guard, &guard->storage))) &&
	    str_empty(guard->lockspace.why))
		set_why(guard, &guard->lockspace.why, "lockspace", "sanlock does not answer");
	if (is_due(&guard->storage))
		ask_storage(guard);
	if (is_due(&guard->lockspace))
		ask_lockspace(guard);
	watch_lockspace(guard);
	ask_watchdog(guard);
	check_loss(guard);
}

void
guard_check(struct guard *guard)
{
	ask_storage(guard);
	ask_lockspace(guard);
}

bool
guard_sanlock_answers(const struct guard *guard)
{
	return str_empty(guard->link_why) && !is_silent(guard, &guard->watch);
}

const char *
guard_storage_why(const struct guard *guard)
{
	return guard->storage.why;
}

const char *
guard_watchdog_why(const struct guard *guard)
{
	return guard->watchdog.why;
}

const char *
guard_lockspace_why(const struct guard *guard)
{
	return str_empty(guard->link_why) ? guard->lockspace.why : guard->link_why;
}

struct guard *
guard_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, const struct work_env *env, guard_changed changed, void *arg)
{
	struct guard *guard = xcalloc(1, sizeof(*guard));
	struct timeval tv = { WATCH_MS / 1000, 0 };

	*guard = (struct guard){
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.env = env,
		.changed = changed,
		.arg = arg,
		.storage.why = xstrdup(UNSEEN),
		.link_why = xstrdup(""),
		.lockspace.why = xstrdup(WAITS_LIBVIRT),
		.watchdog.why = xstrdup(UNSEEN),
		.watchdog.since = INT64_MIN / 2,
	};
	guard->link = sanlock_link_new(base, link_ended, guard);
	guard->timer = event_new(base, -1, EV_PERSIST, timer_due, guard);
	event_add(guard->timer, &tv);
	ask_storage(guard);
	return guard;
}

void
guard_free(struct guard *guard)
{
	event_free(guard->timer);
	sanlock_link_free(guard->link);
	free(guard->link_why);
	free(guard->storage.why);
	free(guard->lockspace.why);
	free(guard->watchdog.why);
	free(guard);
}
