/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host is forgotten by this one and, asked by it, by all others that are active. Where hosts are
 * known by certificates, its own is good until it ends, and it may still have what it takes to be a
 * member of serf: it is put out for good before it is forgotten.
 *
 *   begun       -> putting out   it is kept for all hosts that it is out
 *   begun       -> asking        it is forgotten here, and the others are asked
 *   begun       -> ended         it cannot be done, or another host has asked for it
 *   putting out -> asking        that is kept, and the others are asked
 *   putting out -> ended         that is not kept, or nobody knows the host
 *   asking      -> ended         all have answered, or virtxd stops
 */
#ifndef OPS_FORGET_H
#define OPS_FORGET_H

#include "ops/request.h"

struct context;

/* All is borrowed. */
struct forget_outcome {
	const struct error *err; /* why the host is not forgotten; NULL where it is */
	bool later;		 /* it may be as soon as this host knows the others */
	const char *left; /* without err: who knows it or takes it still, and why; NULL for nobody
			   */
};
/* What comes of it, with the request, which wants its reply now. */
typedef void (*forget_done)(struct request *req, const struct forget_outcome *outcome);

/*
 * Forgets the host of the request's path. put_out: also while it is active; it stays known then,
 * with its VMs, which run on there. One that is not known is put out where hosts have certificates.
 * A request of another host is for this one alone. done runs once, maybe before this has returned.
 */
void forget_start(struct context *ctx, struct request *req, bool put_out, forget_done done);
/* virtxd stops: what others are asked to forget is not waited for. After peers_free; what is being
 * put out ends with the token keeper. */
void forgettings_free(struct context *ctx);

#endif
