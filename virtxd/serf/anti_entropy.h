/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps what is known of other hosts' VMs equal to what these tell in their digests: finds the
 * difference, and asks the host itself for its VMs. Times are monotonic ms.
 */
#ifndef SERF_ANTI_ENTROPY_H
#define SERF_ANTI_ENTROPY_H

#include "serf/members.h"
#include "state/inventory.h"

struct anti_entropy;

/* Asks the host for its VMs, which anti_entropy_done must end, also with no answer. Not from
 * within. */
typedef void (*anti_entropy_ask)(void *arg, const struct member_host *host);

/* All are borrowed and outlive it. seed makes the waits differ between hosts. */
struct anti_entropy *anti_entropy_new(struct inventory *inventory, const struct members *members,
    uint64_t seed, anti_entropy_ask ask, void *arg);
void anti_entropy_free(struct anti_entropy *anti_entropy);
/* The host's digest, or our view of it, has changed: compare them in a moment. */
void anti_entropy_check(struct anti_entropy *anti_entropy, const char *host, int64_t now);
/* The host came (back) into the cluster: ask it in a moment, whatever is known. Only then is a Go
 * virtx asked, which tells each VM in turn otherwise. */
void anti_entropy_welcome(struct anti_entropy *anti_entropy, const char *host, int64_t now);
/* Ask the host in a moment, whatever is known. */
void anti_entropy_need(struct anti_entropy *anti_entropy, const char *host, int64_t now);
/* Any member may have sent an event that calls for it: ask the host in a moment, and ever more
 * rarely if that goes on. */
void anti_entropy_doubt(struct anti_entropy *anti_entropy, const char *host, int64_t now);
/* Its events cannot be used: ask it instead, now and then. */
void anti_entropy_poll(struct anti_entropy *anti_entropy, const char *host, int64_t now);
/* Ask the hosts that each say they have a VM, until one has it: inventory_each_dispute. */
void anti_entropy_dispute(struct anti_entropy *anti_entropy);
/* VMs are gone: ask the hosts again, in a while, for whose VMs there was no room. */
void anti_entropy_make_room(struct anti_entropy *anti_entropy);
/* The host's answer; NULL when there is none. */
void anti_entropy_done(struct anti_entropy *anti_entropy, const char *host,
    const struct vm_info_list *list, int64_t now);
/* The answer of a Go virtx. */
void anti_entropy_listed(
    struct anti_entropy *anti_entropy, const char *host, const struct vm_list *list, int64_t now);
/* The hosts that have not answered yet go to out, by name. One that has left or failed is among
 * them with its state: libvirt there may have VMs all the same. True where an active one has not
 * failed to answer either. */
bool anti_entropy_missing(const struct anti_entropy *anti_entropy, struct buffer *out);
/* The hosts that have told of other VMs than are known here, and have not answered since, go to
 * out, by name. */
void anti_entropy_behind(const struct anti_entropy *anti_entropy, struct buffer *out);
/* Does what is due; returns when to call again, INT64_MAX for never. */
int64_t anti_entropy_run(struct anti_entropy *anti_entropy, int64_t now);

/* Since the start. */
uint64_t anti_entropy_count(const struct anti_entropy *anti_entropy);
uint64_t anti_entropy_count_failed(const struct anti_entropy *anti_entropy);

#endif
