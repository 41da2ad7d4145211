/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_verdict.h"

#include "work/vm_owner.h"

static bool
is_off(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_POWEROFF || runstate == VMRUNSTATE_CRASHED;
}

int
vm_verdict(
    const struct vm_heal_request *req, bool finished, struct vm_result *res, struct error *err)
{
	enum vmrunstate runstate = res->vm.runstate;
	struct vm_owner owner;

	if (str_empty(req->op))
		return 0;
	if (vm_owner_find(&req->env, req->uuid, &owner, err) < 0)
		return -1;
	if (str_equal(req->op, "VmMigrate")) {
		/* It may be on its way back by now. */
		res->done = res->moved =
		    (owner.place == VM_PLACE_ELSEWHERE || owner.place == VM_PLACE_COMING) &&
		    str_equal(owner.host, req->target);
		res->gone = res->gone && !res->moved;
	} else if (str_equal(req->op, "VmDelete"))
		res->done = res->gone && owner.place == VM_PLACE_NOWHERE;
	else if (res->gone)
		res->done = false;
	else if (str_equal(req->op, "VmCreate"))
		res->done = owner.place == VM_PLACE_HERE;
	else if (str_equal(req->op, "VmUpdate"))
		res->done = finished;
	else if (str_equal(req->op, "VmBoot"))
		res->done = !is_off(runstate);
	else if (str_equal(req->op, "VmShutdown"))
		res->done = is_off(runstate);
	else if (str_equal(req->op, "VmPause"))
		res->done = runstate == VMRUNSTATE_PAUSED;
	else if (str_equal(req->op, "VmResume"))
		res->done = runstate == VMRUNSTATE_RUNNING;
	return 0;
}
