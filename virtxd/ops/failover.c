/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/failover.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "ops/background.h"
#include "ops/failover_view.h"
#include "proto/log.h"
#include "work/host_down.h"

#define LOOK_MS	 1000
#define ASK_MS	 2000	/* between looks at sanlock's hosts while one is suspected */
#define REST_MS	 10000	/* the same while none is, at most */
#define AGAIN_MS 5000	/* until a job that failed is started again */
#define LEFT_MS	 120000 /* until it is looked whether a host whose VMs are over has some left */

enum state {
	STATE_WATCHING,
	STATE_SUSPECTED,
	STATE_LISTING,
	STATE_KEEPING,
	STATE_RESTARTING,
	STATE_OVER,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "watching", "suspected", "listing", "keeping",
	"restarting", "over" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_WATCHING] = 1 << STATE_SUSPECTED,
	[STATE_SUSPECTED] = 1 << STATE_WATCHING | 1 << STATE_LISTING,
	[STATE_LISTING] = 1 << STATE_SUSPECTED | 1 << STATE_WATCHING | 1 << STATE_KEEPING,
	[STATE_KEEPING] = 1 << STATE_RESTARTING,
	[STATE_RESTARTING] = 1 << STATE_OVER | 1 << STATE_WATCHING,
	[STATE_OVER] = 1 << STATE_WATCHING | 1 << STATE_KEEPING,
};

/* Another host that was seen once. */
struct victim {
	LIST_ENTRY(victim) link;
	struct failover *owner;
	char uuid[UUID_TEXT_SIZE];
	char *name;
	enum state state;
	enum cstate cstate;
	struct host_ha ha;
	enum failover_sight sight;
	int64_t suspected;	      /* monotonic ms */
	char *why;		      /* it is not proved dead, "" where it is */
	bool reading;		      /* the job that reads its VMs is under way */
	int64_t next;		      /* monotonic ms, they are not read before */
	struct host_vms_result found; /* as of the last such job */
	bool listed;		      /* there was one since the suspicion */
	uint64_t kept_at;	      /* the number of the record that has its VMs */
	struct failover_vms *vms;     /* NULL until they are restarted */
};

struct failover {
	struct context *ctx;
	struct timer *timer;
	LIST_HEAD(, victim) victims;
	struct failover_count count;
	struct failover_vms *restored; /* what a virtxd before this one has left */
	bool loaded;		       /* that is known */
	bool busy;		       /* the job that loads or keeps it is under way */
	int64_t next;		       /* monotonic ms, it is not started before */
	uint64_t changed, kept;	       /* numbers of the record: as it is, and as it is kept */
	uint64_t keeping;	       /* that which the job has */
	char *record_why;	       /* it cannot be loaded or kept, NULL for not */
	struct background hosts_job;
	struct lockspace_hosts_result hosts; /* as sanlock has them */
	int64_t looked; /* when it was asked for them, monotonic ms; 0: never */
	int64_t asked;	/* when it was asked last */
	int64_t beat;	/* when this was run last, monotonic ms */
	int64_t steady; /* since when nothing was wrong with this host itself, monotonic ms */
};

static void
set_state(struct victim *victim, enum state state)
{
	assert(transitions[victim->state] & 1U << state);
	log_debug("failover", "host '%s': %s, then %s", victim->uuid, state_names[victim->state],
	    state_names[state]);
	victim->state = state;
}

/* SIGHUP may change it: what is not claimed yet stays where it is then. */
static bool
is_enabled(const struct failover *failover)
{
	return failover->ctx->config->ha_enabled;
}

static bool
is_away(const struct victim *victim)
{
	return is_enabled(victim->owner) &&
	       (victim->cstate == CSTATE_FAILED || victim->cstate == CSTATE_LEFT);
}

static bool
is_failing(const struct victim *victim)
{
	if (!is_enabled(victim->owner))
		return false;
	return victim->sight == FAILOVER_SIGHT_FAIL || victim->sight == FAILOVER_SIGHT_DEAD;
}

/* The record of what may be claimed */

struct record {
	struct vm_stay *vms;
	size_t n;
};

static void
add_kept(void *arg, const struct failover_vm_view *vm)
{
	struct record *record = arg;
	struct vm_stay *stay;

	if (vm->over)
		return;
	stay = model_append(&record->vms, &record->n);
	stay->uuid = xstrdup(vm->uuid);
	stay->why = xstrdup("");
}

static void
clear_record(struct record *record)
{
	for (size_t i = 0; i < record->n; i++)
		model_clear(&vm_stay_model, &record->vms[i]);
	free(record->vms);
}

static void
record_failed(struct failover *failover, const struct error *err)
{
	static struct log_limit limit;

	free(failover->record_why);
	failover->record_why =
	    xasprintf("which VMs are taken over cannot be kept: %s", err->detail);
	log_limited(&limit, 5, "failover", "%s", failover->record_why);
	failover->next = monotonic_ms() + AGAIN_MS;
}

static void
on_loaded(void *arg, void *result, const struct error *err)
{
	struct failover *failover = arg;
	const struct autostart_result *res = result;

	failover->busy = false;
	if (!res) {
		record_failed(failover, err);
		return;
	}
	failover->loaded = true;
	str_set(&failover->record_why, NULL);
	if (res->n_vms > 0)
		failover->restored =
		    failover_vms_restored(failover->ctx, &failover->count, res->vms, res->n_vms);
}

static void
on_kept(void *arg, void *result, const struct error *err)
{
	struct failover *failover = arg;

	failover->busy = false;
	if (!result) {
		record_failed(failover, err);
		return;
	}
	failover->kept = failover->keeping;
	str_set(&failover->record_why, NULL);
}

static void
start_record(struct failover *failover, const struct record *record, job_done done)
{
	struct autostart_request req = { .failover = true, .keep = record != NULL };
	struct error err = { 0 };

	if (record) {
		req.vms = record->vms;
		req.n_vms = record->n;
	}
	failover->busy = true;
	if (!job_start(
		failover->ctx->jobs, WORK_AUTOSTART, &req, NULL, "", NULL, done, failover, &err))
		done(failover, NULL, &err);
}

/* One job at a time: what changes meanwhile is kept by the next one. */
static void
keep_record(struct failover *failover, int64_t now)
{
	struct record record = { 0 };
	struct victim *victim;

	if (failover->busy || now < failover->next)
		return;
	if (!failover->loaded) {
		start_record(failover, NULL, on_loaded);
		return;
	}
	if (failover->kept == failover->changed)
		return;
	if (failover->restored)
		failover_vms_each(failover->restored, add_kept, &record);
	LIST_FOREACH (victim, &failover->victims, link) {
		if (victim->vms)
			failover_vms_each(victim->vms, add_kept, &record);
	}
	failover->keeping = failover->changed;
	start_record(failover, &record, on_kept);
	clear_record(&record);
}

/* What sanlock says */

static void
on_hosts(void *arg, void *result, const struct error *err)
{
	struct failover *failover = arg;
	struct lockspace_hosts_result *res = result;

	failover->hosts_job.running = false;
	if (!res) {
		background_failed(WORK_LOCKSPACE_HOSTS, err);
		return;
	}
	model_clear(&lockspace_hosts_result_model, &failover->hosts);
	failover->hosts = *res;
	*res = (struct lockspace_hosts_result){ 0 };
	failover->looked = failover->asked;
}

static bool
is_any_suspected(const struct failover *failover)
{
	const struct victim *victim;

	LIST_FOREACH (victim, &failover->victims, link) {
		if (victim->state != STATE_WATCHING && victim->state != STATE_OVER)
			return true;
	}
	return false;
}

static void
ask_sanlock(struct failover *failover, int64_t now)
{
	struct lockspace_hosts_request req = { 0 };
	int64_t rest = failover->ctx->config->io_timeout * INT64_C(1000);

	if (rest > REST_MS)
		rest = REST_MS;
	if (!is_enabled(failover))
		return;
	if (rest < ASK_MS || is_any_suspected(failover))
		rest = ASK_MS;
	if (failover->hosts_job.running || now - failover->asked < rest ||
	    !str_empty(keeper_lockspace_why(failover->ctx->keeper)))
		return;
	failover->asked = now;
	background_start(&failover->hosts_job, failover->ctx->jobs, failover->ctx->inventory,
	    WORK_LOCKSPACE_HOSTS, &req, on_hosts, failover);
}

/* This host itself */

static void
suspect_anew(struct failover *failover, int64_t now)
{
	struct victim *victim;

	LIST_FOREACH (victim, &failover->victims, link) {
		if (victim->state == STATE_SUSPECTED || victim->state == STATE_LISTING)
			victim->suspected = now;
	}
}

/* Whatever sanlock tells after a time in which it, or this process, stood still is not believed. */
static void
look_at_self(struct failover *failover, int64_t now)
{
	int64_t gap = failover->beat ? now - failover->beat : 0;
	int64_t joined = keeper_lockspace_since(failover->ctx->keeper);

	failover->beat = now;
	if (gap > 2 * failover->ctx->config->io_timeout * INT64_C(1000)) {
		log_warning("failover",
		    "this host stood still for %d s: nothing is taken over "
		    "before it has run on for long enough",
		    (int)(gap / 1000));
		failover->steady = now;
		suspect_anew(failover, now);
	}
	if (joined < 0)
		failover->steady = now;
	else if (joined > failover->steady)
		failover->steady = joined;
}

/* Other hosts */

/* Whether another host that is alive tells that it has this host id by now. */
static bool
has_successor(const struct failover *failover, const struct victim *victim)
{
	const struct victim *other;

	LIST_FOREACH (other, &failover->victims, link) {
		if (other != victim && other->cstate == CSTATE_ACTIVE && other->ha.armed &&
		    other->ha.host_id == victim->ha.host_id &&
		    other->ha.generation > victim->ha.generation)
			return true;
	}
	return false;
}

static bool
prove(struct victim *victim, int64_t now)
{
	struct failover *failover = victim->owner;
	struct inventory *inventory = failover->ctx->inventory;
	struct failover_evidence evidence = {
		.cstate = victim->cstate,
		.host = victim->ha,
		.sight = victim->sight,
		.successor = has_successor(failover, victim),
		.suspected = victim->suspected,
		.looked = failover->looked,
		.steady = failover->steady,
		.now = now,
	};
	struct error err = { 0 };
	bool proved;

	inventory_get_ha(inventory, inventory_self(inventory), &evidence.self);
	proved = failover_prove(&evidence, &err) == 0;
	if (!str_equal(victim->why, proved ? "" : err.detail))
		log_debug("failover", "host '%s' is %s%s", victim->uuid,
		    proved ? "proved dead" : "not proved dead: ", err.detail);
	str_set(&victim->why, proved ? "" : err.detail);
	return proved;
}

static void
suspect(struct victim *victim, int64_t now)
{
	log_warning("failover", "host '%s' ('%s') may be dead: serf says %s, sanlock %s",
	    victim->uuid, victim->name, enum_word(&cstate_enum, victim->cstate),
	    enum_word(&failover_sight_enum, victim->sight));
	victim->suspected = now;
	victim->listed = false;
	victim->next = 0;
	set_state(victim, STATE_SUSPECTED);
}

static void
forget_vms(struct victim *victim)
{
	failover_vms_free(victim->vms);
	victim->vms = NULL;
	model_clear(&host_vms_result_model, &victim->found);
	victim->listed = false;
}

static void
come_back(struct victim *victim)
{
	const char *how = !is_enabled(victim->owner)	    ? "left alone: [ha] enabled says no"
			  : victim->cstate == CSTATE_ACTIVE ? "back"
							    : "known no more";

	log_notice("failover", "host '%s' ('%s') is %s", victim->uuid, victim->name, how);
	forget_vms(victim);
	str_set(&victim->why, "");
	set_state(victim, STATE_WATCHING);
}

/* What was held by a host that has died as well, say, or has gone back. */
static void
take_left(struct victim *victim)
{
	if (victim->found.n_vms == 0) {
		victim->next = monotonic_ms() + LEFT_MS;
		return;
	}
	log_notice("failover", "host '%s' ('%s') is dead, and has %zu VMs that are brought back",
	    victim->uuid, victim->name, victim->found.n_vms);
	failover_vms_add(victim->vms, &victim->found);
	victim->kept_at = ++victim->owner->changed;
	set_state(victim, STATE_KEEPING);
}

static void
on_listed(void *arg, void *result, const struct error *err)
{
	struct victim *victim = arg;
	struct host_vms_result *res = result;

	victim->reading = false;
	if (victim->state != STATE_SUSPECTED && victim->state != STATE_LISTING &&
	    victim->state != STATE_OVER)
		return;
	if (!res) {
		background_failed(WORK_HOST_VMS, err);
		victim->next = monotonic_ms() + AGAIN_MS;
		if (victim->state == STATE_LISTING)
			set_state(victim, STATE_SUSPECTED);
		return;
	}
	if (!str_empty(res->warning))
		log_warning("failover", "of host '%s' not all VMs are known: %s", victim->uuid,
		    res->warning);
	model_clear(&host_vms_result_model, &victim->found);
	victim->found = *res;
	*res = (struct host_vms_result){ 0 };
	if (victim->state == STATE_OVER) {
		take_left(victim);
		return;
	}
	if (victim->state == STATE_SUSPECTED) {
		victim->listed = true;
		return;
	}
	log_notice("failover", "host '%s' ('%s') is dead: %zu of its VMs are brought back",
	    victim->uuid, victim->name, victim->found.n_vms);
	victim->vms = failover_vms_new(victim->owner->ctx, &victim->owner->count, victim->uuid,
	    &victim->found, victim->suspected);
	victim->kept_at = ++victim->owner->changed;
	set_state(victim, STATE_KEEPING);
}

static void
read_vms(struct victim *victim, int64_t now)
{
	struct failover *failover = victim->owner;
	struct host_vms_request req = { .host = victim->uuid,
		.otherwise = failover->ctx->config->ha_restart };
	struct error err = { 0 };

	if (victim->reading || now < victim->next)
		return;
	victim->reading = job_start(failover->ctx->jobs, WORK_HOST_VMS, &req, NULL, "", NULL,
			      on_listed, victim, &err) != NULL;
	if (!victim->reading) {
		background_failed(WORK_HOST_VMS, &err);
		victim->next = now + AGAIN_MS;
	}
}

static void
look_suspected(struct victim *victim, int64_t now)
{
	if (!is_away(victim) && !is_failing(victim)) {
		come_back(victim);
	} else if (!victim->listed || victim->reading) {
		read_vms(victim, now);
	} else if (prove(victim, now) && victim->owner->loaded && now >= victim->next) {
		/* What was read before may have moved since. */
		set_state(victim, STATE_LISTING);
		read_vms(victim, now);
		if (!victim->reading)
			set_state(victim, STATE_SUSPECTED);
	}
}

static void
look_restarting(struct victim *victim, int64_t now)
{
	if (!is_away(victim))
		failover_vms_give_up(victim->vms, is_enabled(victim->owner)
						      ? "its host is back, or was forgotten"
						      : "[ha] enabled says no");
	if (failover_vms_step(victim->vms, is_away(victim) && prove(victim, now)))
		victim->owner->changed++;
	if (!is_away(victim) && !failover_vms_are_left(victim->vms)) {
		come_back(victim);
		victim->owner->changed++;
	} else if (!failover_vms_are_left(victim->vms)) {
		log_notice("failover", "all VMs of host '%s' ('%s') are seen to", victim->uuid,
		    victim->name);
		victim->next = now + LEFT_MS;
		set_state(victim, STATE_OVER);
	}
}

static void
look_at(struct victim *victim, int64_t now)
{
	switch (victim->state) {
	case STATE_WATCHING:
		if (victim->ha.armed && (is_away(victim) || is_failing(victim)))
			suspect(victim, now);
		break;
	case STATE_SUSPECTED:
		look_suspected(victim, now);
		break;
	case STATE_LISTING:
		if (!is_away(victim))
			come_back(victim);
		else if (!prove(victim, now))
			set_state(victim, STATE_SUSPECTED);
		break;
	case STATE_KEEPING:
		if (victim->owner->kept >= victim->kept_at)
			set_state(victim, STATE_RESTARTING);
		break;
	case STATE_RESTARTING:
		look_restarting(victim, now);
		break;
	case STATE_OVER:
		if (!is_away(victim))
			come_back(victim);
		else if (now >= victim->next && prove(victim, now))
			read_vms(victim, now);
		break;
	default:
		break;
	}
}

static struct victim *
find(struct failover *failover, const char *uuid)
{
	struct victim *victim;

	LIST_FOREACH (victim, &failover->victims, link) {
		if (str_equal(victim->uuid, uuid))
			return victim;
	}
	victim = xcalloc(1, sizeof(*victim));
	victim->owner = failover;
	snprintf(victim->uuid, sizeof(victim->uuid), "%s", uuid);
	victim->name = xstrdup("");
	victim->why = xstrdup("");
	LIST_INSERT_HEAD(&failover->victims, victim, link);
	return victim;
}

/* What serf and sanlock say of all hosts now. */
static void
take_hosts(struct failover *failover)
{
	static const struct host_list_fields all = { 0 };
	struct inventory *inventory = failover->ctx->inventory;
	struct host_list hosts = { 0 };
	struct victim *victim;

	/* One that was forgotten is nobody's business any more, whatever sanlock says. */
	LIST_FOREACH (victim, &failover->victims, link) {
		victim->cstate = CSTATE_INVALID;
		victim->sight = FAILOVER_SIGHT_UNKNOWN;
	}
	inventory_list_hosts(inventory, &all, NULL, &hosts);
	for (size_t i = 0; i < hosts.n_items; i++) {
		const struct host_list_item *item = &hosts.items[i];

		if (str_equal(item->uuid, inventory_self(inventory)))
			continue;
		victim = find(failover, item->uuid);
		victim->cstate = item->fields.cstate;
		str_set(&victim->name, item->fields.name);
		inventory_get_ha(inventory, item->uuid, &victim->ha);
		victim->sight = failover->looked && victim->ha.armed
				    ? failover_sight_of(&failover->hosts, &victim->ha)
				    : FAILOVER_SIGHT_UNKNOWN;
	}
	model_clear(&host_list_model, &hosts);
}

static void
step_restored(struct failover *failover)
{
	if (!failover->restored)
		return;
	if (failover_vms_step(failover->restored, false))
		failover->changed++;
	if (failover_vms_are_left(failover->restored))
		return;
	failover_vms_free(failover->restored);
	failover->restored = NULL;
}

static void
free_victim(struct victim *victim)
{
	LIST_REMOVE(victim, link);
	forget_vms(victim);
	free(victim->name);
	free(victim->why);
	free(victim);
}

static void
on_look(void *arg)
{
	struct failover *failover = arg;
	int64_t now = monotonic_ms();
	struct victim *victim, *next;

	look_at_self(failover, now);
	/* What would be booted now would be on when the storage is to go; it is kept for later. */
	if ((failover->restored || is_any_suspected(failover)) &&
	    host_down_takes_guests(failover->ctx->config->run_dir))
		return;
	if (str_empty(inventory_self(failover->ctx->inventory)) ||
	    (!is_enabled(failover) && !failover->loaded))
		return;
	take_hosts(failover);
	ask_sanlock(failover, now);
	keep_record(failover, now);
	step_restored(failover);
	for (victim = LIST_FIRST(&failover->victims); victim; victim = next) {
		next = LIST_NEXT(victim, link);
		look_at(victim, now);
		if (victim->cstate == CSTATE_INVALID && victim->state == STATE_WATCHING &&
		    !victim->reading)
			free_victim(victim);
	}
}

struct failover *
failover_new(struct context *ctx)
{
	struct failover *failover = xcalloc(1, sizeof(*failover));

	failover->ctx = ctx;
	LIST_INIT(&failover->victims);
	failover->timer = timer_new(ctx->base, on_look, failover);
	timer_every(failover->timer, LOOK_MS);
	return failover;
}

void
failover_free(struct failover *failover)
{
	struct victim *victim;

	if (!failover)
		return;
	timer_free(failover->timer);
	while ((victim = LIST_FIRST(&failover->victims)))
		free_victim(victim);
	failover_vms_free(failover->restored);
	model_clear(&lockspace_hosts_result_model, &failover->hosts);
	free(failover->record_why);
	free(failover);
}

const char *
failover_record_why(const struct failover *failover)
{
	if (failover && is_enabled(failover) &&
	    host_down_takes_guests(failover->ctx->config->run_dir))
		return "nothing is taken over: libvirt-guests is stopped, or the host goes down";
	return failover ? str_or_empty(failover->record_why) : "";
}

bool
failover_get(const struct failover *failover, const char *host, struct failover_view *ret)
{
	const struct victim *victim;

	LIST_FOREACH (victim, &failover->victims, link) {
		if (!str_equal(victim->uuid, host) || victim->state == STATE_WATCHING)
			continue;
		*ret = (struct failover_view){
			.inventory = failover->ctx->inventory,
			.host = victim->uuid,
			.since = now_ms() - (monotonic_ms() - victim->suspected),
			.cstate = victim->cstate,
			.sight = victim->sight,
			.why = victim->why,
			.wait_ms = host_ha_wait(&victim->ha) * INT64_C(1000),
			.found = victim->listed ? &victim->found : NULL,
			.vms = victim->vms,
		};
		return true;
	}
	return false;
}

const struct failover_count *
failover_count(const struct failover *failover)
{
	return &failover->count;
}
