/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/finding.h"

char *
finding_begun(const struct error *cause)
{
	return xasprintf("how it ended is being found out: %s", cause->detail);
}

bool
finding_judge(
    enum work_stage stage, const struct vm_result *res, const struct error *why, struct error *err)
{
	if (res && (res->done || (stage == WORK_STAGE_DONE && !res->gone)))
		return true;
	if (!res)
		error_append(err,
		    "it is not known yet how that ended (%s): what is half done is finished or "
		    "undone as soon as that is possible",
		    why->detail);
	else if (res->gone)
		error_append(err, "nothing of it is left, and the VM is not here");
	else
		error_append(err, "it was not done, and the VM is %s",
		    enum_word(&vmrunstate_enum, res->vm.runstate));
	return false;
}
