/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What another host tells comes in by these, whether it was asked or not: for the inventory's own
 * files. */
#ifndef STATE_INVENTORY_REMOTE_H
#define STATE_INVENTORY_REMOTE_H

#include "state/inventory_entries.h"

/* The host that told something: NULL for this one, for one that was put out, and for one that is no
 * member. */
struct host_entry *remote_teller(const struct inventory *inventory, const char *uuid);
/* What is said where that is NULL. */
enum inventory_news remote_no_teller(const struct inventory *inventory, const char *uuid);
/* What is kept of a time that a host told: what is ahead would keep the VM's later news out, here
 * and, told on by its owner, everywhere. */
int64_t remote_believed(int64_t ts);
/* What comes from a host's clock says how that differs from ours: exactly where the host was asked,
 * and no less than that where it may have been on its way for a while. */
void remote_note_skew(struct host_entry *host, int64_t ts, bool asked);
/* A VM of the host's that is not known yet; NULL where there is no room for it. */
struct vm_entry *remote_add_vm(
    struct inventory *inventory, struct host_entry *host, const char *uuid);
/* The VM is the host's, and as that says. */
void remote_set_info(struct inventory *inventory, struct vm_entry *entry, struct host_entry *host,
    const struct vm_info *info);

#endif
