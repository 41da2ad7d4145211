/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a host takes a VM: what this one says of itself has the last word. */
#ifndef OPS_ADMISSION_H
#define OPS_ADMISSION_H

#include "ops/request.h"
#include "state/placement.h"

struct context;

/* Another host has chosen this one for a VM: 0 where that is right by what is known here, else it
 * was refused and req is gone. */
int admission_accept(struct context *ctx, struct request *req, const struct vmdef *def);

/* What the host has for VMs, without what is reserved; false for one that has told nothing yet. */
bool admission_find_figures(struct context *ctx, const char *host, struct host_figures *ret);
/* Whether the host has the memory that the VM needs, which is all that counts where the user has
 * named it; -1 with a 422. One that has told nothing yet is not judged. */
int admission_check_memory(struct context *ctx, const char *host, const char *vm,
    const struct vmdef *def, struct error *err);
/* Whether this host can ever have that memory, be it all in hugepages: nobody has to choose it for
 * that. -1 with a 422. */
int admission_check_total(
    struct context *ctx, const char *vm, const struct vmdef_memory *memory, struct error *err);
/* Answers a host that has chosen this one: it is wrong, and this is what there is (see
 * scheduler.c).
 */
void admission_refuse(struct context *ctx, struct request *req, const struct error *err);
/* Reads the header X-VirtX-Refused of such an answer; false where it is none. */
bool admission_read_refusal(const char *refused, struct host_figures *ret);

#endif
