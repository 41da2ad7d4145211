/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a caller that is limited to some VMs may see and do: the others are not there. */
#ifndef API_LIMITS_H
#define API_LIMITS_H

#include "ops/request.h"
#include "state/caller.h"

struct context;

/* Whether who asks may know of a VM; of one that is not known only who is not limited may. */
bool limits_sees_vm(const struct context *ctx, const struct request *req, const char *uuid);
/* Likewise of an operation: it is on such a VM, or their own. */
bool limits_sees_operation(
    const struct context *ctx, const struct request *req, const struct operation *operation);
/* For the VM in the path: 0, or -1 after it was answered that there is none. */
int limits_check_vm(const struct context *ctx, struct request *req);
/* Whether a VM may become this, of what it is, NULL for a new one: 0, or -1 with a 403. */
int limits_check_def(
    const struct request *req, const struct vmdef *def, const struct vmdef *is, struct error *err);
/* The custom field that a list is limited to, borrowed from the request; empty for none. */
struct custom_field limits_field(const struct request *req);

#endif
