/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_verdict.h"

#include "state/reason.h"
#include "work/vm_owner.h"

/* What is so after the healing. */
struct facts {
	const struct vm_owner *owner;
	const struct vm_result *res;
	bool finished; /* a change was carried to its end there */
};

static bool
is_off(const struct facts *facts)
{
	return facts->res->vm.runstate == VMRUNSTATE_POWEROFF ||
	       facts->res->vm.runstate == VMRUNSTATE_CRASHED;
}

/* A guest that was asked obeys when it likes. */
static bool
is_off_or_asked(const struct facts *facts)
{
	const struct vm_report *vm = &facts->res->vm;

	return is_off(facts) || (vm->recorded && reason_shutdown(&vm->oplog, vm->recorded,
						     vm->want) == SHUTDOWN_WAITS);
}

static bool
is_on(const struct facts *facts)
{
	return !is_off(facts);
}

static bool
is_here(const struct facts *facts)
{
	return facts->owner->place == VM_PLACE_HERE;
}

static bool
is_nowhere(const struct facts *facts)
{
	return facts->res->gone && facts->owner->place == VM_PLACE_NOWHERE;
}

static bool
is_finished(const struct facts *facts)
{
	return facts->finished;
}

static bool
is_paused(const struct facts *facts)
{
	return facts->res->vm.runstate == VMRUNSTATE_PAUSED;
}

static bool
is_running(const struct facts *facts)
{
	return facts->res->vm.runstate == VMRUNSTATE_RUNNING;
}

static bool
has_moved(const struct facts *facts)
{
	return facts->res->moved;
}

/* What each operation on a VM wants to be so. */
static const struct row {
	const char *op;
	bool (*wanted)(const struct facts *facts); /* NULL: its job never tells that it has begun */
	bool leaves;				   /* the VM is to be gone from here */
} rows[] = {
	{ "VmCreate", is_here, false },
	{ "VmUpdate", is_finished, false },
	{ "VmDelete", is_nowhere, true },
	{ "VmBoot", is_on, false },
	{ "VmShutdown", is_off_or_asked, false },
	{ "VmPause", is_paused, false },
	{ "VmResume", is_running, false },
	{ "VmReset", NULL, false },
	{ "VmReboot", NULL, false },
	{ "VmMigrate", has_moved, true },
	{ "VmMigrateAbort", NULL, false },
	{ "VmRegister", NULL, false },
	{ "VmFailover", is_here, false },
	{ "VmRecall", is_here, false },
};

static const struct row *
find_row(const char *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_equal(rows[i].op, op))
			return &rows[i];
	}
	return NULL;
}

bool
vm_verdict_known(const char *op)
{
	return find_row(op) != NULL;
}

int
vm_verdict(
    const struct vm_heal_request *req, bool finished, struct vm_result *res, struct error *err)
{
	const struct row *row = find_row(req->op);
	struct vm_owner owner;
	const struct facts facts = { &owner, res, finished };

	if (str_empty(req->op))
		return 0;
	if (vm_owner_find(&req->env, req->uuid, &owner, err) < 0)
		return -1;
	if (str_equal(req->op, "VmMigrate")) {
		/* It may be on its way back by now. */
		res->moved =
		    (owner.place == VM_PLACE_ELSEWHERE || owner.place == VM_PLACE_COMING) &&
		    str_equal(owner.host, req->target);
		res->gone = res->gone && !res->moved;
	}
	res->done = row && row->wanted && (row->leaves || !res->gone) && row->wanted(&facts);
	return 0;
}
