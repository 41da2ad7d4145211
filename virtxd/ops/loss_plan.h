/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What would become of the VMs of a host if it died now: those that are wanted on and are to be
 * brought back are placed as a failover does it, in its order, by what is known here. All hosts
 * together take one slice of the loop each, so that 100 of them with 100 VMs hold up nobody.
 */
#ifndef OPS_LOSS_PLAN_H
#define OPS_LOSS_PLAN_H

#include "ops/context.h"

#define LOSS_PASSES_MAX 8 /* answers that are worked on at once */

struct loss_planner;

/* What all hosts could lose, by the last look, which is at most two minutes old. */
struct loss_outlook {
	bool known;
	bool possible;	 /* any one host may be lost */
	size_t stranded; /* VMs that would not come back, were their host lost */
};

/* ctx is borrowed. Looks each minute where [ha] enabled says so. */
struct loss_planner *loss_planner_new(struct context *ctx);
/* The configuration was read again: it looks from now on, or looks no more and what was found is
 * not known any more. */
void loss_planner_reload(struct loss_planner *planner);
/* virtxd stops: no request may be left. NULL is fine. */
void loss_planner_free(struct loss_planner *planner);
struct loss_outlook loss_planner_outlook(const struct loss_planner *planner);

/* The plan for one host, with all its VMs. otherwise is what counts where a VM says nothing of ha.
 * VMs without the custom field only (empty for none) are placed, and not told of. ret must be zero;
 * the caller clears it. */
void loss_plan_host(const struct inventory *inventory, const char *host, bool otherwise,
    const struct custom_field *only, struct ha_plan_host *ret);
/* Answers with the plans for all hosts that are active, of which only those VMs are told that would
 * not come back. only is borrowed until then; req in every case is the planner's. */
void loss_planner_reply(
    struct loss_planner *planner, struct request *req, const struct custom_field *only);
/* Finds out which VMs come back now where their host dies, and would not if this host (a uuid) took
 * no VMs, and its own were on the others: the request's warning says so. Calls planned then, maybe
 * at once; where the client hangs up before, nothing comes of the request. */
typedef void (*loss_planned)(struct context *ctx, struct request *req);
void loss_planner_ask(
    struct context *ctx, struct request *req, const char *without, loss_planned planned);

#endif
