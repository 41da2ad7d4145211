/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inventory's tables, for its own files: VMs by uuid and by host, hosts by uuid, and what is
 * buried. */
#ifndef STATE_INVENTORY_INDEX_H
#define STATE_INVENTORY_INDEX_H

#include "state/inventory_entries.h"

struct vm_entry *index_find_vm(const struct inventory *inventory, const char *uuid);
struct host_entry *index_find_host(const struct inventory *inventory, const char *uuid);
struct tombstone *index_find_tombstone(const struct inventory *inventory, const char *uuid);
/* Finds or makes it; uuid is normalised. */
struct host_entry *index_need_host(struct inventory *inventory, const char *uuid);
/* The list of all VMs is to be joined anew. */
void index_forget_joined(struct inventory *inventory);
/* A new VM of no host yet. */
struct vm_entry *index_add_vm(struct inventory *inventory, const char *uuid);
/* Something was told of the host's VMs that happened then. */
void index_note_news(struct host_entry *host, int64_t ts);
/* Makes it one of this host's (NULL: of none that is known), counts it anew in the digest, and
 * drops its text: to be called after each change of more than its ts. */
void index_place_vm(struct vm_entry *entry, struct host_entry *host);
/* VMs of which a host still finds out whether they are its own; inventory_undecided.c has these.
 * Sets them in place of those before. */
void index_set_undecided(
    struct inventory *inventory, struct host_entry *host, const struct undecided_vm *vms, size_t n);
bool index_is_undecided(const struct host_entry *host, const char *uuid);
/* It is known. */
void index_decide(struct host_entry *host, const char *uuid);
void index_clear_undecided(struct host_entry *host);
/* The list gets them, in memory of its own. */
void index_get_undecided(const struct host_entry *host, struct vm_info_list *ret);
/* Frees what a host has. */
void index_clear_host(struct host_entry *entry);
/* Drops what is not known of other hosts' VMs. */
void index_trim_vm(struct vm_entry *entry);
/* Whether it has left this host, and no other one has told of it yet. */
bool index_has_left(const struct inventory *inventory, const struct vm_entry *entry);
/* Whether nobody can tell what it does: its host has failed. */
bool index_is_unknown(const struct vm_entry *entry);
/* Nobody claims it any more. */
void index_drop_claim(struct vm_entry *entry);
/* All entries. */
void index_clear(struct inventory *inventory);
/* Removes it, and tells the observers. */
void index_drop_vm(struct inventory *inventory, struct vm_entry *entry);
/* The same, and remembers that it ended at ts; of INVENTORY_VMS that have ended last. */
void index_bury_vm(struct inventory *inventory, struct vm_entry *entry, int64_t ts);
void index_drop_tombstone(struct inventory *inventory, struct tombstone *tombstone);
/* The fields of a list item, borrowed from the host. */
struct host_list_fields index_host_fields(const struct host *host);

/* Whether the host may have one more VM: there is room for it, or a host that is away makes some.
 */
bool index_make_room(struct inventory *inventory, struct host_entry *host);

void index_tell_vm(struct inventory *inventory, const struct vm_entry *entry);
void index_tell_host(struct inventory *inventory, const struct host_entry *entry);

#endif
