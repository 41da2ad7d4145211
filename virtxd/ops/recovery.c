/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/recovery.h"

#include <sys/queue.h>

#include "loop/timer.h"
#include "ops/background.h"
#include "ops/uuid_set.h"
#include "proto/log.h"
#include "state/reason.h"

#define HEAL_MS 200 /* until a VM that is busy is looked at again */

struct recovery {
	struct jobs *jobs;
	struct inventory *inventory;
	bool (*able)(void *arg);
	void *arg;
	struct timer *timer;
	struct inquiries *inquiries;
	LIST_HEAD(, heal) heals; /* runs of vm-heal that nobody asked for */
	struct uuid_set wounded;
	struct uuid_set suspects; /* that looked wounded, maybe by what a job was about to do */
	bool healing;		  /* what is observed now is what a healing could do */
};

static void
arm(struct recovery *recovery)
{
	if (!timer_is_started(recovery->timer))
		timer_start(recovery->timer, HEAL_MS);
}

bool
recovery_is_off(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED;
}

/* And not just coming or going. */
static bool
is_on(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_RUNNING || runstate == VMRUNSTATE_PAUSED ||
	       runstate == VMRUNSTATE_PMSUSPENDED;
}

/* What it is wanted to be is not what follows from how it is: see work/wanted.h. */
static bool
is_misjudged(const struct inventory_vm *view)
{
	const struct vm *vm = &view->vm;

	if (!view->recorded)
		return false;
	if (is_on(vm->runinfo.runstate))
		return (vm->want != WANT_ON || view->excused) &&
		       reason_shutdown(&vm->stats.oplog, true, vm->want) != SHUTDOWN_WAITS;
	return vm->runinfo.runstate == VMRUNSTATE_POWEROFF && vm->want == WANT_ON &&
	       !view->excused && str_equal(view->told, REASON_SHUTDOWN);
}

/* A shutdown has ended by now, in one way or the other, and does not wait for the guest. */
static bool
is_shut_down(const struct inventory_vm *view)
{
	const struct vm *vm = &view->vm;
	enum shutdown shutdown = reason_shutdown(&vm->stats.oplog, view->recorded, vm->want);

	return recovery_is_off(vm->runinfo.runstate) ||
	       (is_on(vm->runinfo.runstate) &&
		   (shutdown == SHUTDOWN_OVER || shutdown == SHUTDOWN_CUT_OFF));
}

/* As work/vm_heal.c has it. */
bool
recovery_is_rebooting(const struct inventory_vm *view)
{
	const struct vm *vm = &view->vm;

	return view->local && view->recorded && vm->runinfo.runstate == VMRUNSTATE_POWEROFF &&
	       vm->want == WANT_ON &&
	       (str_equal(view->told, REASON_SHUTDOWN) ||
		   (str_empty(view->told) && view->excused)) &&
	       reason_reboot(&vm->stats.oplog) == REBOOT_WAITS;
}

/* A reboot has ended by now, in one way or the other, and waits neither for the guest nor for the
 * boot. */
static bool
is_rebooted(const struct inventory_vm *view, int64_t since)
{
	const struct vm *vm = &view->vm;
	bool waits = reason_reboot(&vm->stats.oplog) == REBOOT_WAITS;

	if (recovery_is_off(vm->runinfo.runstate))
		return !recovery_is_rebooting(view);
	return is_on(vm->runinfo.runstate) && (!waits || now_ms() - since >= REASON_REBOOT_MS);
}

/* An operation is "started" in the VM's log, and nothing is under way that could end it; or the
 * VM is off, and still has its cloud-init CD; or it is wanted to be what it is not. */
static bool
is_wounded(const struct inventory_vm *view)
{
	const struct oplog_list *oplog = &view->vm.stats.oplog;

	if ((recovery_is_off(view->vm.runinfo.runstate) && !str_empty(view->cloud_init)) ||
	    is_misjudged(view))
		return true;
	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		if (!str_equal(item->status, "started"))
			continue;
		if (str_equal(item->op, "VmShutdown") ? is_shut_down(view)
		    : str_equal(item->op, "VmReboot") ? is_rebooted(view, item->ts)
						      : true)
			return true;
	}
	return false;
}

static void
healed(void *arg, uint64_t mark, void *result, const struct error *err)
{
	struct recovery *recovery = arg;
	static struct log_limit limit;
	struct vm_result *res = result;
	const struct inventory_vm *view;

	if (!res) {
		background_failed(WORK_VM_HEAL, err);
		return;
	}
	if (!str_empty(res->warning))
		log_limited(&limit, 10, "job", "%s", res->warning);
	if (res->gone || res->moved)
		return; /* libvirt's event or the next collection tells, or it never was */
	/* What is still wounded waits for the next collection, not for itself. */
	recovery->healing = true;
	inventory_report_vm(recovery->inventory, mark, true, &res->vm);
	recovery->healing = false;
	view = inventory_find_vm(recovery->inventory, res->vm.uuid);
	if (view && !is_wounded(view))
		log_info("job", "VM '%s' healed", res->vm.uuid);
}

/* A run of vm-heal. */
struct heal {
	LIST_ENTRY(heal) link;
	struct recovery *recovery;
	uint64_t mark; /* the point in time from which it looks */
};

static void
heal_done(void *arg, void *result, const struct error *err)
{
	struct heal *heal = arg;
	struct recovery *recovery = heal->recovery;
	uint64_t mark = heal->mark;

	LIST_REMOVE(heal, link);
	free(heal);
	healed(recovery, mark, result, err);
}

/* Those whose job has ended, and left them wounded. */
static void
sort_suspects(struct recovery *recovery)
{
	struct uuid_set busy = { 0 };
	char uuid[37];

	while (uuid_set_take(&recovery->suspects, uuid)) {
		const struct inventory_vm *view = inventory_find_vm(recovery->inventory, uuid);

		if (jobs_busy(recovery->jobs, uuid))
			uuid_set_add(&busy, uuid);
		else if (view && view->local && is_wounded(view))
			uuid_set_add(&recovery->wounded, uuid);
	}
	recovery->suspects = busy;
}

static bool
can_inquire(void *arg, uint64_t *mark)
{
	struct recovery *recovery = arg;

	*mark = inventory_mark(recovery->inventory);
	return recovery->able(recovery->arg);
}

static const struct inquiry_ops inquiry_ops = { .able = can_inquire, .healed = healed };

static void
start_heal(struct recovery *recovery, const char *uuid)
{
	const struct inventory_vm *view = inventory_find_vm(recovery->inventory, uuid);
	struct vm_heal_request req = { .uuid = (char *)uuid };
	struct heal *heal = xcalloc(1, sizeof(*heal));
	struct error err = { 0 };

	req.ended = view && (view->signalled || !str_empty(view->loss));
	heal->recovery = recovery;
	heal->mark = inventory_mark(recovery->inventory);
	LIST_INSERT_HEAD(&recovery->heals, heal, link);
	if (job_start(recovery->jobs, WORK_VM_HEAL, &req, uuid, "", NULL, heal_done, heal, &err))
		return;
	LIST_REMOVE(heal, link);
	free(heal);
	background_failed(WORK_VM_HEAL, &err);
}

static void
heal_due(void *arg)
{
	struct recovery *recovery = arg;
	struct uuid_set busy = { 0 };
	char uuid[37];

	sort_suspects(recovery);
	while (uuid_set_take(&recovery->wounded, uuid)) {
		bool free = !jobs_busy(recovery->jobs, uuid) &&
			    !inquiry_is_under_way(recovery->inquiries, uuid);

		if (free && recovery->able(recovery->arg))
			start_heal(recovery, uuid);
		else
			uuid_set_add(&busy, uuid);
	}
	recovery->wounded = busy;
	if (!uuid_set_is_empty(&recovery->wounded) || !uuid_set_is_empty(&recovery->suspects))
		arm(recovery);
}

void
recovery_find_out(struct recovery *recovery, const char *vm, const char *op, const char *target,
    inquiry_found found, void *arg)
{
	inquiry_start(recovery->inquiries, vm, op, target, found, arg);
}

void
recovery_heal(struct recovery *recovery, const char *uuid)
{
	uuid_set_add(&recovery->wounded, uuid);
	arm(recovery);
}

void
recovery_look(struct recovery *recovery, const struct inventory_vm *view)
{
	if (recovery->healing || !is_wounded(view))
		return;
	uuid_set_add(&recovery->suspects, view->vm.uuid);
	arm(recovery);
}

struct recovery *
recovery_new(struct event_base *base, struct jobs *jobs, struct inventory *inventory,
    bool (*able)(void *arg), void *arg)
{
	struct recovery *recovery = xcalloc(1, sizeof(*recovery));

	*recovery =
	    (struct recovery){ .jobs = jobs, .inventory = inventory, .able = able, .arg = arg };
	recovery->timer = timer_new(base, heal_due, recovery);
	recovery->inquiries = inquiries_new(base, jobs, &inquiry_ops, recovery);
	return recovery;
}

void
recovery_free(struct recovery *recovery)
{
	struct heal *heal;

	while ((heal = LIST_FIRST(&recovery->heals))) {
		LIST_REMOVE(heal, link);
		free(heal);
	}
	inquiries_free(recovery->inquiries);
	timer_free(recovery->timer);
	uuid_set_clear(&recovery->wounded);
	uuid_set_clear(&recovery->suspects);
	free(recovery);
}
