/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an operation ended whose job did not live to tell: judged by what is so, once vm-heal has
 * undone or finished what the job had left. */
#ifndef WORK_VM_VERDICT_H
#define WORK_VM_VERDICT_H

#include "proto/error.h"
#include "work/requests.h"

/*
 * Says in res->done whether what req->op wanted is so, and in res->moved whether the VM is on
 * req->target by now. res tells of the VM after its healing; finished: a change of it was carried
 * to its end there.
 */
int vm_verdict(
    const struct vm_heal_request *req, bool finished, struct vm_result *res, struct error *err);
/* Whether it is known what this operation wants: it is of each that a route begins on a VM. */
bool vm_verdict_known(const char *op);

#endif
