/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of an operation whose job did not live to tell, or left something half done. */
#ifndef OPS_FINDING_H
#define OPS_FINDING_H

#include "work/requests.h"
#include "work/work.h"

/* What the operation says while that is found out; the caller frees. */
char *finding_begun(const struct error *cause);
/*
 * True where what the operation wanted is so, as its job's stage and vm-heal's result tell. Else
 * err, which is why the job failed, says in addition what is so; res is NULL where that could not
 * be found out, for the reason why.
 */
bool finding_judge(
    enum work_stage stage, const struct vm_result *res, const struct error *why, struct error *err);

#endif
