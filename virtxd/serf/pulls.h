/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps what is known of other hosts' VMs equal to what these tell in their digests: finds the
 * difference, and asks the host itself for its VMs. Times are monotonic ms.
 */
#ifndef SERF_PULLS_H
#define SERF_PULLS_H

#include "serf/members.h"
#include "state/inventory.h"

struct pulls;

/* Asks the host for its VMs, which pulls_done must end, also with no answer. Not from within. */
typedef void (*pulls_ask)(void *arg, const struct member_host *host);

/* All are borrowed and outlive the pulls. seed makes the waits differ between hosts. */
struct pulls *pulls_new(struct inventory *inventory, const struct members *members, uint64_t seed,
    pulls_ask ask, void *arg);
void pulls_free(struct pulls *pulls);
/* The host's digest, or our view of it, has changed: compare them in a moment. */
void pulls_check(struct pulls *pulls, const char *host, int64_t now);
/* The host came (back) into the cluster: ask it in a moment, whatever is known. Only then is a Go
 * virtx asked, which tells each VM in turn otherwise. */
void pulls_welcome(struct pulls *pulls, const char *host, int64_t now);
/* Ask the host in a moment, whatever is known. */
void pulls_need(struct pulls *pulls, const char *host, int64_t now);
/* Any member may have sent an event that calls for it: ask the host in a moment, and ever more
 * rarely if that goes on. */
void pulls_doubt(struct pulls *pulls, const char *host, int64_t now);
/* Its events cannot be used: ask it instead, now and then. */
void pulls_poll(struct pulls *pulls, const char *host, int64_t now);
/* Ask the hosts that each say they have a VM, until one has it: inventory_each_dispute. */
void pulls_dispute(struct pulls *pulls);
/* VMs are gone: ask the hosts again, in a while, for whose VMs there was no room. */
void pulls_make_room(struct pulls *pulls);
/* The host's answer; NULL when there is none. */
void pulls_done(
    struct pulls *pulls, const char *host, const struct vm_info_list *list, int64_t now);
/* The answer of a Go virtx. */
void pulls_listed(struct pulls *pulls, const char *host, const struct vm_list *list, int64_t now);
/* The hosts that have not answered yet go to out, by name. One that has left or failed is among
 * them with its state: libvirt there may have VMs all the same. True where an active one has not
 * failed to answer either. */
bool pulls_missing(const struct pulls *pulls, struct buffer *out);
/* Does what is due; returns when to call again, INT64_MAX for never. */
int64_t pulls_run(struct pulls *pulls, int64_t now);

/* Since the start. */
uint64_t pulls_count(const struct pulls *pulls);
uint64_t pulls_count_failed(const struct pulls *pulls);

#endif
