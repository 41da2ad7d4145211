/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's part in the cluster: serf, its members, the gossip, and what that asks of other
 * hosts over HTTP. */
#ifndef DAEMON_CLUSTER_H
#define DAEMON_CLUSTER_H

#include "http/peer.h"
#include "serf/gossip.h"
#include "state/config.h"

struct cluster;

/* host is this host's uuid, by which serf and the others know it. All others are borrowed and
 * outlive the cluster. */
struct cluster *cluster_new(struct event_base *base, const struct config *config,
    struct inventory *inventory, struct peers *peers, const char *host);
void cluster_free(struct cluster *cluster);
/* Tells the others that this host is in maintenance since then (ms since the epoch), or, with 0,
 * that it is not. Until it is called, what they were told last stands. */
void cluster_set_maintenance(struct cluster *cluster, int64_t since);
/* Tells the others that the tokens have changed; told(arg) is called when another host has changed
 * them. */
void cluster_tell_tokens(struct cluster *cluster);
void cluster_on_tokens(struct cluster *cluster, void (*told)(void *arg), void *arg);
/* Takes back what the others know of this virtxd, as the Go one may follow; then calls done, once.
 */
void cluster_leave(struct cluster *cluster, void (*done)(void *arg), void *arg);
/* The configuration was read again. */
void cluster_reload(struct cluster *cluster);
/* A host that was forgotten stays so until it is active again. */
void cluster_forget(struct cluster *cluster, const char *host);
/* Whether the VMs of the others are known, as known_check in ops/known.h has it: what cannot be
 * found out is not waited for, nor is who comes later. */
int cluster_check(struct cluster *cluster, char **ret_missing, struct error *err);
/* Which hosts have told of VMs that are not known here yet, in words; the caller frees; NULL for
 * none. */
char *cluster_behind(const struct cluster *cluster);
/* "" while serf is connected, else why it is not. */
const char *cluster_why(const struct cluster *cluster);
/* Why the other hosts cannot reach this one; "" where they can, or there are none. */
const char *cluster_unreachable(const struct cluster *cluster);
/* Which host is where; borrowed. */
const struct members *cluster_members(const struct cluster *cluster);
void cluster_get_stats(const struct cluster *cluster, struct gossip_stats *ret);

#endif
