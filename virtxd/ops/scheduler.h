/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts are chosen for requests that name none. */
#ifndef OPS_SCHEDULER_H
#define OPS_SCHEDULER_H

#include "ops/request.h"
#include "state/placement.h"

struct context;

/* Why the host was chosen, as an operation says it: "placed on h2: ..."; "" where there was no
 * choice. The caller frees. */
char *scheduler_text(const struct placement *placement);
/* Answers a dry run: 200 with the placement, feasible or not. */
void scheduler_explain(struct context *ctx, struct request *req, const struct placement_need *need);
/* The same of a VM that cannot leave its host, whatever the others have: why says why not. */
void scheduler_explain_stay(
    struct context *ctx, struct request *req, const struct placement_need *need, const char *why);
/* Finds the best host of the cluster; 0, or -1 with the 422. ret must be zero; the caller clears
 * it. */
int scheduler_choose(struct context *ctx, const struct placement_need *need, struct placement *ret,
    struct error *err);

/*
 * Creates a VM on the host that is best for it: by here (a scheduler_create_here), or by having the
 * request answered by that host. One that refuses is passed over, and the next best is asked.
 * Answers req in every case; options (checked) are copied. lack is why this host cannot, NULL where
 * it can.
 */
typedef void (*scheduler_create_here)(struct context *ctx, struct request *req,
    const struct vm_create_options *options, const char *why);
void scheduler_create(struct context *ctx, struct request *req,
    const struct vm_create_options *options, scheduler_create_here here, const struct error *lack);

/* A host that was asked has refused: by the figures in its X-VirtX-Refused header the next choice
 * is better. What is no such header is overlooked. */
void scheduler_take_refusal(struct context *ctx, const char *host, const char *refused);

#endif
