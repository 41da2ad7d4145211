/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/self_fence.h"

#include "loop/timer.h"
#include "proto/log.h"
#include "work/requests.h"

#define BEAT_MS	 2000
#define LOOK_MS	 10000 /* between looks while nothing is wrong */
#define REST_MS	 60000 /* where no VM is known to run */
#define HURRY_MS 20000 /* that it looks at each beat after something has changed */
#define LOOKS	 2     /* after which one that was loose in each is ended */

struct suspect {
	struct fence_process process;
	unsigned int looks; /* in which it was loose, and nothing worked on it */
	bool told;
};

struct self_fence {
	struct jobs *jobs;
	struct inventory *inventory;
	const struct arming *arming;
	bool (*able)(void *arg);
	self_fence_found found;
	void *arg;
	struct timer *timer;
	bool running;
	int64_t looked_at;   /* monotonic ms */
	int64_t asked_at;    /* whether VMs run, monotonic ms */
	int64_t hurry_until; /* monotonic ms */
	struct suspect *suspects;
	size_t n_suspects;
};

static void
clear_suspects(struct suspect *suspects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		model_clear(&fence_process_model, &suspects[i].process);
	free(suspects);
}

/* The same process as in the look before; NULL for none. */
static const struct suspect *
find_suspect(const struct self_fence *fence, const struct fence_process *process)
{
	for (size_t i = 0; i < fence->n_suspects; i++) {
		const struct fence_process *before = &fence->suspects[i].process;

		if (str_equal(before->uuid, process->uuid) && before->pid == process->pid &&
		    before->start == process->start)
			return &fence->suspects[i];
	}
	return NULL;
}

/* What is loose now, with how often it was before. */
static void
take_loose(struct self_fence *fence, const struct self_fence_result *res)
{
	struct suspect *fresh = xcalloc(res->n_loose + 1, sizeof(*fresh));
	bool found = false;

	for (size_t i = 0; i < res->n_loose; i++) {
		const struct suspect *before = find_suspect(fence, &res->loose[i]);
		struct suspect *suspect = &fresh[i];

		model_copy(&fence_process_model, &suspect->process, &res->loose[i]);
		if (before)
			*suspect =
			    (struct suspect){ suspect->process, before->looks, before->told };
		suspect->looks =
		    jobs_busy(fence->jobs, suspect->process.uuid) ? 0 : suspect->looks + 1;
		if (suspect->looks < LOOKS || suspect->told)
			continue;
		suspect->told = found = true;
		log_error("ha", "VM '%s' runs without its leases: %s", suspect->process.uuid,
		    suspect->process.why);
	}
	clear_suspects(fence->suspects, fence->n_suspects);
	fence->suspects = fresh;
	fence->n_suspects = res->n_loose;
	if (found)
		fence->found(fence->arg);
}

static void
look_done(void *arg, void *result, const struct error *err)
{
	static struct log_limit limit;
	struct self_fence *fence = arg;
	const struct self_fence_result *res = result;

	fence->running = false;
	if (!res) {
		log_limited(&limit, 5, "ha",
		    "whether VMs run here without their leases is not known: %s", err->detail);
		return;
	}
	for (size_t i = 0; i < res->n_ended; i++)
		log_error("ha",
		    "VM '%s' was ended: others may take its leases, as this host is armed, and %s",
		    res->ended[i].uuid, res->ended[i].why);
	take_loose(fence, res);
}

/* Those that have to end, borrowed from the suspects; the caller frees the array. */
static struct fence_process *
choose_victims(const struct self_fence *fence, size_t *n)
{
	struct fence_process *victims = xcalloc(fence->n_suspects + 1, sizeof(*victims));

	*n = 0;
	for (size_t i = 0; arming_fences(fence->arming) && i < fence->n_suspects; i++) {
		const struct suspect *suspect = &fence->suspects[i];

		if (suspect->looks >= LOOKS && !jobs_busy(fence->jobs, suspect->process.uuid))
			victims[(*n)++] = suspect->process;
	}
	return victims;
}

static void
look(struct self_fence *fence)
{
	static struct log_limit limit;
	_free_ struct fence_process *victims = NULL;
	struct self_fence_request req = { 0 };
	struct error err = { 0 };

	victims = choose_victims(fence, &req.n_victims);
	req.victims = victims;
	fence->looked_at = monotonic_ms();
	fence->running = job_start(fence->jobs, WORK_SELF_FENCE, &req, NULL, "", NULL, look_done,
			     fence, &err) != NULL;
	if (!fence->running)
		log_limited(&limit, 10, "job", "cannot start %s: %s", works[WORK_SELF_FENCE].name,
		    err.detail);
}

static void
note_running(void *arg, const struct inventory_vm *vm, bool def_known, bool disks_known)
{
	bool *runs = arg;

	*runs |= vm->vm.runinfo.runstate == VMRUNSTATE_RUNNING;
}

static bool
is_due(struct self_fence *fence)
{
	int64_t now = monotonic_ms();
	bool runs = false;

	if (fence->n_suspects > 0 || now < fence->hurry_until || now - fence->looked_at >= REST_MS)
		return true;
	if (now - fence->looked_at < LOOK_MS || now - fence->asked_at < LOOK_MS)
		return false;
	fence->asked_at = now;
	inventory_each_local(fence->inventory, note_running, &runs);
	return runs;
}

static void
timer_due(void *arg)
{
	struct self_fence *fence = arg;

	timer_start(fence->timer, timer_to_beat(BEAT_MS));
	if (!fence->running && fence->able(fence->arg) && is_due(fence))
		look(fence);
}

void
self_fence_hurry(struct self_fence *fence)
{
	fence->hurry_until = monotonic_ms() + HURRY_MS;
}

struct self_fence *
self_fence_new(struct event_base *base, struct jobs *jobs, struct inventory *inventory,
    const struct arming *arming, bool (*able)(void *arg), self_fence_found found, void *arg)
{
	struct self_fence *fence = xcalloc(1, sizeof(*fence));

	*fence = (struct self_fence){
		.jobs = jobs,
		.inventory = inventory,
		.arming = arming,
		.able = able,
		.found = found,
		.arg = arg,
		.looked_at = INT64_MIN / 2,
		.asked_at = INT64_MIN / 2,
	};
	fence->timer = timer_new(base, timer_due, fence);
	timer_start(fence->timer, timer_to_beat(BEAT_MS));
	return fence;
}

void
self_fence_free(struct self_fence *fence)
{
	timer_free(fence->timer);
	clear_suspects(fence->suspects, fence->n_suspects);
	free(fence);
}
