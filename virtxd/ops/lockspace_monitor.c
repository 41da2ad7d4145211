/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/lockspace_monitor.h"

#include "loop/timer.h"
#include "ops/sanlock_link.h"
#include "proto/log.h"

#define RENEWAL_FAILS 8	    /* io_timeouts after which sanlock calls its host_id lost */
#define WATCH_MS      1000  /* between looks at sanlock's process and the jobs */
#define RESTING_MS    2000  /* the same while nothing is wrong */
#define AGAIN_MS      2000  /* between jobs while something is wrong */
#define WATCH_SECONDS 20    /* that one child watches the lockspace */
#define LOOK_MAX_MS   2500  /* between its looks */
#define ARMING_MS     60000 /* between looks at what this host is armed by, at most */

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

struct lockspace_monitor {
	const struct config *config;
	struct jobs *jobs;
	struct inventory *inventory;
	struct arming *arming;
	lockspace_monitor_changed changed;
	void *arg;
	struct timer *timer;
	struct question storage, lockspace, watchdog;
	int64_t joined;			   /* when the lockspace was last, monotonic ms */
	struct storage_check_result found; /* when the storage was there last */
	bool watchdog_known;		   /* it was answered once */
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
set_why(struct lockspace_monitor *monitor, char **what, const char *subsystem, const char *why)
{
	bool changes = str_empty(*what) != str_empty(why);

	if (!str_empty(why) && !str_equal(*what, why))
		log_warning(subsystem, "%s", why);
	str_set(what, why);
	arming_set_lockspace(monitor->arming, lockspace_monitor_lockspace_why(monitor));
	if (changes)
		monitor->changed(monitor->arg);
}

static void
ask(struct lockspace_monitor *monitor, struct question *question, enum work_id work,
    const void *request, job_progress progress, job_done done)
{
	static struct log_limit limit;
	struct error err = { 0 };

	if (question->running)
		return;
	question->since = monotonic_ms();
	question->running = job_start(monitor->jobs, work, request, NULL, "", progress, done,
				monitor, &err) != NULL;
	if (!question->running)
		log_limited(&limit, 10, "job", "cannot start %s: %s", works[work].name, err.detail);
}

/* After which sanlock gives a lockspace up that it could not renew. */
static int64_t
renewal_ms(const struct lockspace_monitor *monitor)
{
	return (int64_t)RENEWAL_FAILS * monitor->config->io_timeout * 1000;
}

static bool
is_long(const struct lockspace_monitor *monitor, int64_t ms)
{
	return ms > renewal_ms(monitor);
}

/* The lockspace was joined, and is not any more: what ends the VMs now. */
static void
lose(struct lockspace_monitor *monitor, const char *why)
{
	if (!monitor->lost)
		inventory_set_loss(monitor->inventory, why);
	monitor->lost = true;
	monitor->lost_until = monotonic_ms() + renewal_ms(monitor);
}

/* sanlock goes on ending VMs for a while after it is joined anew. */
static void
check_loss(struct lockspace_monitor *monitor)
{
	int64_t now = monotonic_ms();

	if (!monitor->lost)
		return;
	if (!str_empty(lockspace_monitor_lockspace_why(monitor)))
		monitor->lost_until = now + renewal_ms(monitor);
	if (now < monitor->lost_until)
		return;
	monitor->lost = false;
	inventory_set_loss(monitor->inventory, "");
}

static void ask_storage(struct lockspace_monitor *monitor);

static void
lockspace_done(void *arg, void *result, const struct error *err)
{
	struct lockspace_monitor *monitor = arg;
	struct question *lockspace = &monitor->lockspace;
	struct lockspace_result *res = result;
	int64_t took = monotonic_ms() - lockspace->since;
	bool doubtful = monitor->doubtful, joins;

	lockspace->running = monitor->doubtful = false;
	if (!res) {
		if (str_empty(lockspace->why) && error_is(err, ERROR_UNAVAILABLE))
			lose(monitor, err->detail);
		set_why(monitor, &lockspace->why, "lockspace", err->detail);
		return;
	}
	/* After such a silence sanlock may be about to give the lockspace up: its next word counts.
	 */
	if (is_long(monitor, took) || doubtful)
		return;
	if (!str_empty(lockspace->why))
		log_info("lockspace", "joined with host_id %d", res->lockid);
	joins = !str_empty(lockspace->why);
	if (joins)
		monitor->joined = monotonic_ms();
	set_why(monitor, &lockspace->why, "lockspace", "");
	inventory_set_lockid(monitor->inventory, res->lockid);
	/* A host that is in it looks closer. */
	if (joins)
		ask_storage(monitor);
}

static void
ask_lockspace(struct lockspace_monitor *monitor)
{
	struct lockspace_request req = {
		.kill = monitor->config->kill_unprotected,
	};
	const char *waits = str_empty(inventory_self(monitor->inventory)) ? WAITS_LIBVIRT
			    : !str_empty(monitor->storage.why)		  ? WAITS_STORAGE
									  : NULL;
	char **why = &monitor->lockspace.why;

	if (waits && !str_empty(*why))
		str_set(why, waits);
	if (waits || !str_empty(monitor->link_why))
		return;
	if (str_equal(*why, WAITS_LIBVIRT) || str_equal(*why, WAITS_STORAGE))
		str_set(why, JOINS);
	ask(monitor, &monitor->lockspace, WORK_LOCKSPACE, &req, NULL, lockspace_done);
}

static void
watch_progress(void *arg, int percent, enum work_stage stage)
{
	struct lockspace_monitor *monitor = arg;

	monitor->watch.since = monotonic_ms();
}

static void
watch_done(void *arg, void *result, const struct error *err)
{
	struct lockspace_monitor *monitor = arg;

	monitor->watch.running = false;
	if (!result && error_is(err, ERROR_UNAVAILABLE))
		lose(monitor, err->detail);
	if (result || !str_empty(monitor->lockspace.why))
		return;
	set_why(monitor, &monitor->lockspace.why, "lockspace", err->detail);
	ask_lockspace(monitor);
}

static void
watch_lockspace(struct lockspace_monitor *monitor)
{
	/* Several in the time after which it counts as silent. */
	int32_t look_ms = monitor->config->answer_timeout * 250;
	struct lockspace_watch_request req = { .seconds = WATCH_SECONDS,
		.look_ms = look_ms < LOOK_MAX_MS ? look_ms : LOOK_MAX_MS };

	if (str_empty(lockspace_monitor_lockspace_why(monitor)))
		ask(monitor, &monitor->watch, WORK_LOCKSPACE_WATCH, &req, watch_progress,
		    watch_done);
}

static void
link_ended(void *arg)
{
	struct lockspace_monitor *monitor = arg;

	/* What is being asked may be answered by the one that was there before. */
	monitor->doubtful = monitor->lockspace.running;
	if (str_empty(monitor->lockspace.why))
		lose(monitor, "sanlock has ended");
	set_why(monitor, &monitor->lockspace.why, "lockspace", "sanlock has ended");
}

/* What it was when sanlock could not answer has to be asked again. */
static void
check_link(struct lockspace_monitor *monitor)
{
	bool before = str_empty(monitor->link_why);
	struct error err = { 0 };
	bool now = sanlock_link_check(monitor->link, &err) == 0;

	if (before && !now)
		monitor->link_since = monotonic_ms();
	if (!before && now) {
		monitor->doubtful = is_long(monitor, monotonic_ms() - monitor->link_since);
		str_set(&monitor->lockspace.why, JOINS);
	}
	set_why(monitor, &monitor->link_why, "lockspace", now ? "" : err.detail);
}

/* One that was not looked at yet is no problem. */
static void
set_storage_why(struct lockspace_monitor *monitor, const char *why)
{
	inventory_set_storage(monitor->inventory, why);
	set_why(monitor, &monitor->storage.why, "storage", why);
}

static void
storage_done(void *arg, void *result, const struct error *err)
{
	struct lockspace_monitor *monitor = arg;
	struct question *storage = &monitor->storage;
	const struct storage_check_result *res = result;
	bool found = res && !str_empty(storage->why);

	storage->running = false;
	if (found)
		log_info(
		    "storage", "'%s' is storage '%s'", monitor->config->storage_root, res->uuid);
	if (res) {
		model_clear(&storage_check_result_model, &monitor->found);
		model_copy(&storage_check_result_model, &monitor->found, res);
	}
	set_storage_why(monitor, result ? "" : err->detail);
	if (found)
		ask_lockspace(monitor);
}

static void
ask_storage(struct lockspace_monitor *monitor)
{
	struct storage_request req = { 0 };

	ask(monitor, &monitor->storage, WORK_STORAGE_CHECK, &req, NULL, storage_done);
}

/* The inventory may come to know this host only later. */
static void
tell_watchdog(struct lockspace_monitor *monitor)
{
	if (monitor->watchdog_known)
		inventory_set_watchdog(monitor->inventory, inventory_self(monitor->inventory),
		    str_empty(monitor->watchdog.why) ? WATCHDOG_ON : WATCHDOG_OFF);
}

/* What is not answered stays as it was known. */
static void
watchdog_done(void *arg, void *result, const struct error *err)
{
	struct lockspace_monitor *monitor = arg;
	const struct watchdog_result *res = result;
	char **why = &monitor->watchdog.why;

	monitor->watchdog.running = false;
	arming_set_look(monitor->arming, res, err);
	if (!res) {
		if (!monitor->watchdog_known)
			str_set(why, err->detail);
		return;
	}
	if (!monitor->watchdog_known || !str_equal(*why, res->why)) {
		if (str_empty(res->why))
			log_info("lockspace", "a watchdog protects this host");
		else
			log_warning("lockspace", "no watchdog protects this host: %s", res->why);
	}
	monitor->watchdog_known = true;
	str_set(why, res->why);
	tell_watchdog(monitor);
}

/* By a job of its own, behind all others: nothing waits for the answer. */
static void
ask_watchdog(struct lockspace_monitor *monitor)
{
	bool sanlock = str_empty(monitor->link_why);
	struct watchdog_request req = {
		.sanlock = sanlock ? sanlock_link_number(monitor->link) : 0,
	};
	int64_t period = (int64_t)monitor->config->collect_period * 1000;

	tell_watchdog(monitor);
	if (period > ARMING_MS)
		period = ARMING_MS;
	if ((!monitor->watchdog_known && sanlock) || !arming_is_looked_at(monitor->arming))
		period = AGAIN_MS;
	if (monitor->watchdog.running || monotonic_ms() - monitor->watchdog.since < period)
		return;
	arming_begin_look(monitor->arming);
	ask(monitor, &monitor->watchdog, WORK_WATCHDOG, &req, NULL, watchdog_done);
}

static bool
is_silent(const struct lockspace_monitor *monitor, const struct question *question)
{
	return question->running &&
	       monotonic_ms() - question->since > (int64_t)monitor->config->answer_timeout * 1000;
}

static bool
is_due(const struct question *question)
{
	return !str_empty(question->why) && monotonic_ms() - question->since >= AGAIN_MS;
}

static void
arm(struct lockspace_monitor *monitor)
{
	bool rests = str_empty(monitor->storage.why) && str_empty(monitor->link_why) &&
		     str_empty(monitor->lockspace.why);

	timer_start(monitor->timer, timer_to_beat(rests ? RESTING_MS : WATCH_MS));
}

static void
timer_due(void *arg)
{
	struct lockspace_monitor *monitor = arg;

	check_link(monitor);
	if (is_silent(monitor, &monitor->storage))
		set_storage_why(monitor, "the shared storage does not answer");
	/* The job that joins reads the storage as well. */
	if ((is_silent(monitor, &monitor->watch) || (is_silent(monitor, &monitor->lockspace) &&
							!is_silent(monitor, &monitor->storage))) &&
	    str_empty(monitor->lockspace.why))
		set_why(monitor, &monitor->lockspace.why, "lockspace", "sanlock does not answer");
	if (is_due(&monitor->storage))
		ask_storage(monitor);
	if (is_due(&monitor->lockspace))
		ask_lockspace(monitor);
	watch_lockspace(monitor);
	ask_watchdog(monitor);
	check_loss(monitor);
	arming_set_lockspace(monitor->arming, lockspace_monitor_lockspace_why(monitor));
	arming_check(monitor->arming);
	arm(monitor);
}

void
lockspace_monitor_check(struct lockspace_monitor *monitor)
{
	ask_storage(monitor);
	ask_lockspace(monitor);
}

bool
lockspace_monitor_sanlock_answers(const struct lockspace_monitor *monitor)
{
	return str_empty(monitor->link_why) && !is_silent(monitor, &monitor->watch);
}

const char *
lockspace_monitor_storage_why(const struct lockspace_monitor *monitor)
{
	return monitor->storage.why;
}

const struct storage_check_result *
lockspace_monitor_storage(const struct lockspace_monitor *monitor)
{
	return str_empty(monitor->storage.why) ? &monitor->found : NULL;
}

const char *
lockspace_monitor_watchdog_why(const struct lockspace_monitor *monitor)
{
	return monitor->watchdog.why;
}

const char *
lockspace_monitor_lockspace_why(const struct lockspace_monitor *monitor)
{
	return str_empty(monitor->link_why) ? monitor->lockspace.why : monitor->link_why;
}

int64_t
lockspace_monitor_since(const struct lockspace_monitor *monitor)
{
	return str_empty(lockspace_monitor_lockspace_why(monitor)) ? monitor->joined : -1;
}

struct lockspace_monitor *
lockspace_monitor_new(struct event_base *base, const struct config *config, struct jobs *jobs,
    struct inventory *inventory, struct arming *arming, lockspace_monitor_changed changed,
    void *arg)
{
	struct lockspace_monitor *monitor = xcalloc(1, sizeof(*monitor));

	*monitor = (struct lockspace_monitor){
		.config = config,
		.jobs = jobs,
		.inventory = inventory,
		.arming = arming,
		.changed = changed,
		.arg = arg,
		.storage.why = xstrdup(UNSEEN),
		.link_why = xstrdup(""),
		.lockspace.why = xstrdup(WAITS_LIBVIRT),
		.watchdog.why = xstrdup(UNSEEN),
		.watchdog.since = INT64_MIN / 2,
	};
	monitor->link = sanlock_link_new(base, link_ended, monitor);
	monitor->timer = timer_new(base, timer_due, monitor);
	arm(monitor);
	ask_storage(monitor);
	return monitor;
}

void
lockspace_monitor_free(struct lockspace_monitor *monitor)
{
	timer_free(monitor->timer);
	sanlock_link_free(monitor->link);
	free(monitor->link_why);
	free(monitor->storage.why);
	model_clear(&storage_check_result_model, &monitor->found);
	free(monitor->lockspace.why);
	free(monitor->watchdog.why);
	free(monitor);
}
