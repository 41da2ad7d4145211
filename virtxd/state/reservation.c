/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/reservation.h"

#include <assert.h>
#include <stdio.h>

#include "proto/log.h"
#include "state/inventory_index.h"

static const char *const state_names[RESERVATION_STATE_N] = { "open", "settled", "held" };

/* As in the header. */
static const unsigned int transitions[RESERVATION_STATE_N] = {
	[RESERVATION_OPEN] = 1 << RESERVATION_SETTLED | 1 << RESERVATION_HELD,
};

static void
set_state(struct reservation *reservation, enum reservation_state state)
{
	assert(transitions[reservation->state] & 1U << state);
	log_debug("reservation", "of VM '%s' on host '%s': %s, then %s", reservation->vm,
	    reservation->host, state_names[reservation->state], state_names[state]);
	reservation->state = state;
}

static void
drop(struct inventory *inventory, struct reservation *reservation)
{
	TAILQ_REMOVE(&inventory->reservations, reservation, link);
	inventory->n_reservations--;
	inventory->n_held -= reservation->state == RESERVATION_HELD;
	model_clear(&vmdef_model, &reservation->def);
	free(reservation);
}

enum reservation_counts
reservation_counts(const struct inventory *inventory, const struct reservation *reservation)
{
	const struct vm_entry *vm =
	    reservation->vm[0] ? index_find_vm(inventory, reservation->vm) : NULL;
	const struct host_entry *host = vm && !index_has_left(inventory, vm) ? vm->host : NULL;
	const struct tombstone *tombstone =
	    vm ? NULL : index_find_tombstone(inventory, reservation->vm);
	int64_t seen;

	if (reservation->state == RESERVATION_HELD && monotonic_ms() >= reservation->expires)
		return RESERVATION_GONE;
	/* It came and went. */
	if (tombstone && tombstone->buried > reservation->made)
		return RESERVATION_GONE;
	if (reservation->state == RESERVATION_SETTLED &&
	    monotonic_ms() - reservation->settled > RESERVATION_MS)
		return RESERVATION_GONE;
	if (!host)
		return RESERVATION_WHOLE;
	/* What is done was there, and has gone on or back. */
	if (!str_equal(host->uuid, reservation->host))
		return reservation->state == RESERVATION_SETTLED ? RESERVATION_GONE
								 : RESERVATION_WHOLE;
	if (vm->view.local)
		return vm->view.vm.def.memory.total ? RESERVATION_GONE : RESERVATION_MEMORY;
	seen = reservation->seen_ts ? reservation->seen_ts : vm->view.vm.ts;
	return seen <= host->told_ts ? RESERVATION_GONE : RESERVATION_MEMORY;
}

/* Drops those that count no more. */
static void
purge(struct inventory *inventory)
{
	struct reservation *reservation, *next;

	for (reservation = TAILQ_FIRST(&inventory->reservations); reservation; reservation = next) {
		enum reservation_counts counts = reservation_counts(inventory, reservation);

		next = TAILQ_NEXT(reservation, link);
		if (counts == RESERVATION_GONE && reservation->state != RESERVATION_OPEN)
			drop(inventory, reservation);
		else if (counts == RESERVATION_MEMORY && !reservation->seen_ts)
			reservation->seen_ts =
			    index_find_vm(inventory, reservation->vm)->view.vm.ts;
	}
}

static struct reservation *
find(struct inventory *inventory, uint64_t id)
{
	struct reservation *reservation;

	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		if (reservation->id == id)
			return reservation;
	}
	return NULL;
}

static struct reservation *
find_held(const struct inventory *inventory, const char *vm)
{
	struct reservation *reservation;

	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		if (reservation->state == RESERVATION_HELD && str_equal(reservation->vm, vm))
			return reservation;
	}
	return NULL;
}

/* The oldest of this host's own. */
static struct reservation *
find_oldest(const struct inventory *inventory)
{
	struct reservation *reservation;

	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		if (reservation->state != RESERVATION_HELD)
			return reservation;
	}
	return NULL;
}

static struct reservation *
add(struct inventory *inventory, const char *host, const char *vm, const struct vmdef *def)
{
	struct reservation *reservation = xcalloc(1, sizeof(*reservation));
	struct vmdef part = {
		.name = def->name,
		.cpudef = def->cpudef,
		.memory = def->memory,
		.custom = def->custom,
		.n_custom = def->n_custom,
	};

	reservation->id = ++inventory->last_reservation;
	reservation->made = monotonic_ms();
	reservation->clock = ++inventory->clock;
	snprintf(reservation->host, sizeof(reservation->host), "%.36s", host);
	snprintf(reservation->vm, sizeof(reservation->vm), "%.36s", vm);
	model_copy(&vmdef_model, &reservation->def, &part);
	TAILQ_INSERT_TAIL(&inventory->reservations, reservation, link);
	inventory->n_reservations++;
	return reservation;
}

uint64_t
reservation_add(
    struct inventory *inventory, const char *host, const char *vm, const struct vmdef *def)
{
	purge(inventory);
	if (inventory->n_reservations - inventory->n_held >= RESERVATIONS_MAX)
		drop(inventory, find_oldest(inventory));
	return add(inventory, host, vm, def)->id;
}

/* One more for the host, besides the one that it replaces (NULL for none). */
static int
check_bounds(const struct inventory *inventory, const char *from,
    const struct reservation *replaced, struct error *err)
{
	const struct reservation *reservation;
	size_t n = 0;

	if (inventory->n_held - (replaced != NULL) >= RESERVATIONS_MAX)
		return error_set(err, 503, "room for %d VMs is reserved already", RESERVATIONS_MAX);
	TAILQ_FOREACH (reservation, &inventory->reservations, link)
		n += reservation != replaced && reservation->state == RESERVATION_HELD &&
		     str_equal(reservation->from, from);
	if (n < RESERVATIONS_OF_ONE)
		return 0;
	return error_set(err, 503, "room for %d VMs of the host at '%s' is reserved already",
	    RESERVATIONS_OF_ONE, from);
}

int
reservation_hold(struct inventory *inventory, const char *from, const char *vm,
    const char *operation, const struct vmdef *def, struct error *err)
{
	struct reservation *reservation;

	purge(inventory);
	reservation = find_held(inventory, vm);
	if (check_bounds(inventory, from, reservation, err) < 0)
		return -1;
	if (reservation)
		drop(inventory, reservation);
	reservation = add(inventory, inventory->self, vm, def);
	set_state(reservation, RESERVATION_HELD);
	reservation->expires = monotonic_ms() + RESERVATION_HELD_MS;
	inventory->n_held++;
	snprintf(reservation->operation, sizeof(reservation->operation), "%.36s", operation);
	snprintf(reservation->from, sizeof(reservation->from), "%s", from);
	return 0;
}

bool
reservation_is_held(
    const struct inventory *inventory, const char *vm, const struct vmdef_memory *memory)
{
	const struct reservation *reservation = find_held(inventory, vm);

	return reservation && reservation_counts(inventory, reservation) != RESERVATION_GONE &&
	       reservation->def.memory.hp == memory->hp &&
	       reservation->def.memory.total >= memory->total;
}

void
reservation_release(struct inventory *inventory, const char *vm, const char *operation)
{
	struct reservation *reservation = find_held(inventory, vm);

	if (reservation && (!operation || str_equal(reservation->operation, operation)))
		drop(inventory, reservation);
}

void
reservation_cancel(struct inventory *inventory, uint64_t id)
{
	struct reservation *reservation = find(inventory, id);

	if (reservation)
		drop(inventory, reservation);
}

void
reservation_settle(struct inventory *inventory, uint64_t id, const char *vm)
{
	struct reservation *reservation = find(inventory, id);

	if (!reservation)
		return;
	set_state(reservation, RESERVATION_SETTLED);
	reservation->settled = monotonic_ms();
	reservation->settled_clock = ++inventory->clock;
	snprintf(reservation->vm, sizeof(reservation->vm), "%.36s", vm);
	/* Of this host nothing more needs to be heard. */
	if (str_equal(reservation->host, inventory->self))
		drop(inventory, reservation);
}

void
reservation_forget(struct inventory *inventory, const char *host, uint64_t mark,
    bool (*is_gone)(void *arg, const char *vm), void *arg)
{
	struct reservation *reservation, *next;

	for (reservation = TAILQ_FIRST(&inventory->reservations); reservation; reservation = next) {
		next = TAILQ_NEXT(reservation, link);
		if (reservation->state == RESERVATION_SETTLED &&
		    reservation->settled_clock <= mark && reservation->vm[0] &&
		    str_equal(reservation->host, host) &&
		    !index_find_vm(inventory, reservation->vm) && is_gone(arg, reservation->vm))
			drop(inventory, reservation);
	}
}

/* The one for a VM that is about to leave; NULL for none. */
static const struct reservation *
find_leaving(const struct inventory *inventory, const char *vm)
{
	const struct reservation *reservation;

	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		if (reservation->state != RESERVATION_SETTLED && str_equal(reservation->vm, vm) &&
		    !str_equal(reservation->host, inventory->self))
			return reservation;
	}
	return NULL;
}

const char *
reservation_leads_to(const struct inventory *inventory, const char *vm)
{
	const struct reservation *reservation = find_leaving(inventory, vm);

	return reservation ? reservation->host : "";
}

uint64_t
reservation_leads_since(const struct inventory *inventory, const char *vm)
{
	const struct reservation *reservation = find_leaving(inventory, vm);

	return reservation ? reservation->clock : 0;
}

size_t
reservation_count(struct inventory *inventory)
{
	purge(inventory);
	return inventory->n_reservations;
}

void
inventory_take_figures(
    struct inventory *inventory, const char *host, const struct host_figures *figures)
{
	struct host_entry *entry = index_find_host(inventory, host);

	if (!entry || str_equal(host, inventory->self))
		return;
	entry->figures = *figures;
	entry->figures_at = monotonic_ms();
	entry->figures_clock = inventory->last_reservation;
}

void
reservations_clear(struct inventory *inventory)
{
	struct reservation *reservation;

	while ((reservation = TAILQ_FIRST(&inventory->reservations)))
		drop(inventory, reservation);
}
