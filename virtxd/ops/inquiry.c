/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/inquiry.h"

#include <stdio.h>
#include <sys/queue.h>

#include "loop/timer.h"
#include "proto/uuid.h"

#define LIMIT_MS 60000
#define AGAIN_MS 1000

struct inquiry {
	LIST_ENTRY(inquiry) link;
	struct inquiries *owner;
	char vm[UUID_TEXT_SIZE];
	char *op;
	char *target;
	struct timer *timer;
	int64_t due;	     /* monotonic ms */
	bool running;	     /* vm-heal is */
	uint64_t mark;	     /* the point in time from which it looks */
	struct error last;   /* why it is not known yet */
	inquiry_found found; /* NULL once it was called: vm-heal is still at it */
	void *arg;
};

struct inquiries {
	struct event_base *base;
	struct jobs *jobs;
	const struct inquiry_ops *ops;
	void *arg;
	LIST_HEAD(, inquiry) list;
};

static void
inquiry_free(struct inquiry *inquiry)
{
	LIST_REMOVE(inquiry, link);
	timer_free(inquiry->timer);
	free(inquiry->op);
	free(inquiry->target);
	free(inquiry);
}

/* Tells who asked, once. */
static void
tell(struct inquiry *inquiry, struct vm_result *res)
{
	inquiry_found found = steal_ptr(inquiry->found);

	if (found)
		found(inquiry->arg, res, res ? NULL : &inquiry->last);
}

static void
try_again(struct inquiry *inquiry)
{
	if (monotonic_ms() < inquiry->due) {
		timer_start(inquiry->timer, AGAIN_MS);
		return;
	}
	tell(inquiry, NULL);
	inquiry_free(inquiry);
}

static void
heal_done(void *arg, void *result, const struct error *err)
{
	struct inquiry *inquiry = arg;

	inquiry->running = false;
	timer_stop(inquiry->timer);
	inquiry->owner->ops->healed(inquiry->owner->arg, inquiry->mark, result, err);
	if (result || !inquiry->found) {
		tell(inquiry, result);
		inquiry_free(inquiry);
		return;
	}
	inquiry->last = *err;
	/* It is known that it goes on: that may take its time. */
	if (error_is(err, ERROR_BUSY))
		inquiry->due = monotonic_ms() + LIMIT_MS;
	try_again(inquiry);
}

static void
on_timer(void *arg)
{
	struct inquiry *inquiry = arg;
	struct inquiries *owner = inquiry->owner;
	struct vm_heal_request req = {
		.uuid = inquiry->vm, .op = inquiry->op, .target = inquiry->target
	};

	if (inquiry->running) {
		error_set(&inquiry->last, 504, "job 'vm-heal' is still at it");
		tell(inquiry, NULL);
		return;
	}
	if (!owner->ops->able(owner->arg, &inquiry->mark)) {
		error_set(&inquiry->last, 503, "libvirt or the storage is not there");
		try_again(inquiry);
		return;
	}
	inquiry->running = job_start(owner->jobs, WORK_VM_HEAL, &req, inquiry->vm, "", NULL,
			       heal_done, inquiry, &inquiry->last) != NULL;
	if (inquiry->running)
		timer_start(inquiry->timer, inquiry->due - monotonic_ms());
	else
		try_again(inquiry);
}

struct inquiries *
inquiries_new(struct event_base *base, struct jobs *jobs, const struct inquiry_ops *ops, void *arg)
{
	struct inquiries *inquiries = xcalloc(1, sizeof(*inquiries));

	*inquiries = (struct inquiries){ .base = base, .jobs = jobs, .ops = ops, .arg = arg };
	LIST_INIT(&inquiries->list);
	return inquiries;
}

void
inquiries_free(struct inquiries *inquiries)
{
	if (!inquiries)
		return;
	while (!LIST_EMPTY(&inquiries->list))
		inquiry_free(LIST_FIRST(&inquiries->list));
	free(inquiries);
}

void
inquiry_start(struct inquiries *inquiries, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg)
{
	struct inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

	inquiry->owner = inquiries;
	snprintf(inquiry->vm, sizeof(inquiry->vm), "%.36s", vm);
	inquiry->op = xstrdup(op);
	inquiry->target = xstrdup(target);
	inquiry->due = monotonic_ms() + LIMIT_MS;
	inquiry->found = found;
	inquiry->arg = arg;
	inquiry->timer = timer_new(inquiries->base, on_timer, inquiry);
	LIST_INSERT_HEAD(&inquiries->list, inquiry, link);
	timer_start(inquiry->timer, 0);
}

bool
inquiry_is_under_way(const struct inquiries *inquiries, const char *vm)
{
	const struct inquiry *inquiry;

	LIST_FOREACH (inquiry, &inquiries->list, link) {
		if (str_equal(inquiry->vm, vm))
			return true;
	}
	return false;
}
