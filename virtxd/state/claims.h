/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that two hosts say they have. Any member can send an event in any host's name, so that an
 * event about another host's VM is a claim: both hosts are asked for their VMs, and the one that
 * lists the VM has it. Where both do, it is the one that runs it, as no other can have its lease;
 * else the one that is believed already.
 */
#ifndef STATE_CLAIMS_H
#define STATE_CLAIMS_H

#include "state/inventory_entries.h"

/* The host says so by an event, or (listed) when it was asked, after the mark. Takes note of it,
 * unless a later event came before this one; false where nobody has to be asked first, and the VM
 * may be taken for that host's. */
bool claim_make(struct inventory *inventory, struct vm_entry *entry, const struct host_entry *host,
    enum vmrunstate runstate, int64_t ts, bool listed, uint64_t mark);
/* The host lists it as one that has left: that is no claim, and its earlier one is none any more.
 */
void claim_withdraw(struct vm_entry *entry, const struct host_entry *host, uint64_t mark);
/* The host that is believed tells of the VM: an older claim is none any more, and who has the VM
 * still lists it again. */
void claim_outdate(struct vm_entry *entry, const struct host_entry *host, int64_t ts);
/* Those of this host that are not newer than the mark, of VMs that are not among its own. */
void claims_drop_of(struct inventory *inventory, const struct host_entry *host, uint64_t mark,
    bool (*lists)(void *arg, const char *vm), void *arg);
/* The host that is believed lists the VM, or lists it as one that leaves. */
void claim_hear_owner(struct vm_entry *entry, uint64_t mark, bool leaves);
/* The host that is believed does not have it any more: the VM is where the claim says. */
void claim_grant(struct inventory *inventory, struct vm_entry *entry);
/* Grants what can be decided by now. */
void claims_decide(struct inventory *inventory);
/* Our libvirt still has the VM, and looked after the claim: true where others have to be told anew.
 */
bool claim_must_answer(struct vm_entry *entry, uint64_t mark);

#endif
