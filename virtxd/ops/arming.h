/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether others may take over what runs on this host when it fails, and it what runs on others:
 * whether it is sure that nothing runs here any more when sanlock gives its leases to somebody
 * else. The others learn of it by a tag of serf, see state/host_ha.h.
 *
 *   off   -> waits   nothing is missing, and the lockspace was joined lately
 *   off   -> armed   nothing is missing, and it was joined long ago: virtxd was started anew, say
 *   waits -> armed   the lockspace has been joined for long enough
 *   waits -> off     something is missing
 *   armed -> off     something is missing but the lockspace
 *   armed -> waits   the lockspace was left and joined anew between two looks
 *   armed -> lost    the lockspace is lost, or sanlock does not answer
 *   lost  -> armed   sanlock answers again, and has never left the lockspace
 *   lost  -> waits   the lockspace was joined anew
 *   lost  -> off     it is joined, and something is missing
 *
 * A host that is lost keeps the tag: its leases expire, and what it has told of them holds: the
 * watchdog, and its own fence, end what runs here (ops/self_fence.h).
 */
#ifndef OPS_ARMING_H
#define OPS_ARMING_H

#include "state/config.h"
#include "state/inventory.h"
#include "work/requests.h"

struct arming;

/* Both are borrowed and outlive it. */
struct arming *arming_new(const struct config *config, struct inventory *inventory);
void arming_free(struct arming *arming);

/* Why the lockspace is not joined, "" while it is. */
void arming_set_lockspace(struct arming *arming, const char *why);
/* A look begins. */
void arming_begin_look(struct arming *arming);
/* What it has found; NULL where it has failed, and err says why. */
void arming_set_look(
    struct arming *arming, const struct watchdog_result *res, const struct error *err);
/* Time has gone on. */
void arming_check(struct arming *arming);

/* Whether it is known how this host is joined; while it is not joined there is nothing to know. */
bool arming_is_looked_at(const struct arming *arming);
/* Whether this host may take over, and is taken from. */
bool arming_is_armed(const struct arming *arming);
/* Whether what sanlock does not keep the leases of has to end: it is armed or lost. */
bool arming_fences(const struct arming *arming);
/* Why it is not armed, in words, "" while it is; borrowed. */
const char *arming_why(const struct arming *arming);
/* The same as a list, appended to ret. */
void arming_add_reasons(const struct arming *arming, struct ha_status *ret);
/* What the configuration leaves out, in words, "" for nothing. */
const char *arming_unsafe(const struct arming *arming);

#endif
