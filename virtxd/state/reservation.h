/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room on a host for a VM that was placed there. It counts until the host's own figures have the
 * VM in them: those of this host at once, those of another when it next tells of itself. That may
 * take a minute, in which many VMs can be placed.
 *
 * This host also holds room for VMs that others send to it, one for each VM: until the VM is here,
 * the sender gives it up, or has not renewed it for a while.
 *
 *   open -> settled   what it was made for is done: the VM is yet to be told of
 *   open -> held      it is for another host, which sends the VM
 *
 * The end may come in any of these states.
 */
#ifndef STATE_RESERVATION_H
#define STATE_RESERVATION_H

#include "proto/error.h"
#include "proto/model.h"
#include "state/figures.h"

struct inventory;

#define RESERVATIONS_MAX    4096 /* of this host's; then the oldest goes. And as many for others */
#define RESERVATIONS_OF_ONE 256	 /* of these, for one host: what it sends at once, and much more */
#define RESERVATION_MS	    180000 /* that it is kept after its end, whatever the host tells */
#define RESERVATION_HELD_MS 60000  /* that one for others is kept when it is not renewed */

/* vm is "" while that is not known. Returns its id, which is never 0; it stays until it is ended by
 * one of the two below. */
uint64_t reservation_add(
    struct inventory *inventory, const char *host, const char *vm, const struct vmdef *def);
/* Nothing came of it. An id that is not known (any more) is passed over by both. */
void reservation_cancel(struct inventory *inventory, uint64_t id);
/* What it was made for is done (or has to be taken as done): vm is on that host, "" where it is not
 * known which one it is. */
void reservation_settle(struct inventory *inventory, uint64_t id, const char *vm);
/* The host tells of its VMs, as they were after this mark of the inventory: is_gone says which of
 * them are no more. Forgets those that were never seen here, and would be waited for. */
void reservation_forget(struct inventory *inventory, const char *host, uint64_t mark,
    bool (*is_gone)(void *arg, const char *vm), void *arg);
/* The host on which room for this VM of this host is reserved, as it is about to leave: borrowed,
 * "" for none. */
const char *reservation_leads_to(const struct inventory *inventory, const char *vm);
/* Since when, by the inventory's clock: what is asked with a mark from there on knows of it. 0 for
 * none. */
uint64_t reservation_leads_since(const struct inventory *inventory, const char *vm);
size_t reservation_count(struct inventory *inventory);

/* Holds room on this host for a VM, for an operation of the host that sends it, which has the
 * address from; one that was held for the VM is replaced. 0, or -1 with a 503 where there are too
 * many. */
int reservation_hold(struct inventory *inventory, const char *from, const char *vm,
    const char *operation, const struct vmdef *def, struct error *err);
/* Whether as much is held for the VM already. */
bool reservation_is_held(
    const struct inventory *inventory, const char *vm, const struct vmdef_memory *memory);
/* No more for this operation; NULL for whichever. */
void reservation_release(struct inventory *inventory, const char *vm, const char *operation);

/* Another host has just told it itself; it counts for a moment, or until the host tells of itself
 * anew. */
void inventory_take_figures(
    struct inventory *inventory, const char *host, const struct host_figures *figures);

/* How much of a reservation is not among what the host is known to have. */
enum reservation_counts {
	RESERVATION_GONE,   /* all is */
	RESERVATION_MEMORY, /* the VM is, but the host's figures are older */
	RESERVATION_WHOLE,
};
struct reservation;
enum reservation_counts reservation_counts(
    const struct inventory *inventory, const struct reservation *reservation);

/* The inventory ends. */
void reservations_clear(struct inventory *inventory);

#endif
