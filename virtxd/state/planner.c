/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/planner.h"

#include <string.h>

#include "proto/vmdef.h"
#include "state/inventory_index.h"
#include "state/planner_hosts.h"
#include "state/reservation.h"

/* What a host answered is overtaken by what it tells of its VMs; until then it would be asked in
 * vain again. */
#define FIGURES_MS 3000

struct placement_host *
placement_find_host(const struct planner *planner, const char *uuid)
{
	for (size_t i = 0; i < planner->n_hosts; i++) {
		if (str_equal(planner->hosts[i].uuid, uuid))
			return &planner->hosts[i];
	}
	return NULL;
}

static bool
is_label(const struct custom_field *custom)
{
	return str_equal(custom->name, PLACEMENT_APART) || str_equal(custom->name, PLACEMENT_GROUP);
}

static struct placement_label *
find_label(const struct planner *planner, const struct custom_field *custom)
{
	_free_ char *key = xasprintf("%s=%s", custom->name, str_or_empty(custom->value));
	struct placement_label *label;

	HASH_FIND_STR(planner->labels, key, label);
	return label;
}

static struct placement_bearers *
find_bearers(const struct placement_label *label, size_t host)
{
	for (size_t i = 0; label && i < label->n_bearers; i++) {
		if (label->bearers[i].host == host)
			return &label->bearers[i];
	}
	return NULL;
}

static void
count_label(struct planner *planner, size_t host, const struct custom_field *custom,
    const char *name, int sign)
{
	struct placement_label *label = find_label(planner, custom);
	struct placement_bearers *bearers;

	if (!label) {
		label = xcalloc(1, sizeof(*label));
		label->key = xasprintf("%s=%s", custom->name, str_or_empty(custom->value));
		HASH_ADD_KEYPTR(hh, planner->labels, label->key, strlen(label->key), label);
	}
	bearers = find_bearers(label, host);
	if (!bearers) {
		label->bearers =
		    xrealloc(label->bearers, label->n_bearers + 1, sizeof(*label->bearers));
		bearers = &label->bearers[label->n_bearers++];
		*bearers = (struct placement_bearers){ .host = host };
	}
	bearers->vms += sign;
	if (sign > 0)
		str_set(&bearers->vm, name);
}

int64_t
placement_bearers(const struct planner *planner, const struct placement_host *host,
    const struct vmdef *def, const char *field, const char **ret_vm, const char **ret_value)
{
	int64_t n = 0;

	for (size_t i = 0; i < def->n_custom; i++) {
		const struct placement_bearers *bearers;

		if (!str_equal(def->custom[i].name, field))
			continue;
		bearers = find_bearers(
		    find_label(planner, &def->custom[i]), (size_t)(host - planner->hosts));
		if (!bearers || bearers->vms <= 0)
			continue;
		n += bearers->vms;
		*ret_vm = bearers->vm;
		*ret_value = str_or_empty(def->custom[i].value);
	}
	return n;
}

static void
count_labels(struct planner *planner, size_t host, const struct vmdef *def, int sign)
{
	for (size_t i = 0; i < def->n_custom; i++) {
		if (is_label(&def->custom[i]))
			count_label(planner, host, &def->custom[i], str_or_empty(def->name), sign);
	}
}

static void
count_memory(struct host_figures *figures, const struct vmdef *def, int sign)
{
	if (def->memory.hp)
		figures->hp -= sign * (int64_t)def->memory.total;
	else
		figures->memory -= sign * (int64_t)def->memory.total;
}

void
placement_count(
    struct planner *planner, struct placement_host *host, const struct vmdef *def, int sign)
{
	count_memory(&host->figures, def, sign);
	host->figures.vms += sign;
	host->figures.vcpus += sign * (int64_t)vmdef_vcpus(def);
	count_labels(planner, (size_t)(host - planner->hosts), def, sign);
}

static int64_t
max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What the host has told itself in between, and what was reserved since. */
static void
take_told(
    const struct inventory *inventory, const struct host_entry *entry, struct host_figures *figures)
{
	struct host_figures told = entry->figures;
	const struct reservation *reservation;

	if (entry->figures_at == 0 || entry->told_at > entry->figures_at ||
	    monotonic_ms() - entry->figures_at > FIGURES_MS)
		return;
	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		if (reservation->id <= entry->figures_clock ||
		    !str_equal(reservation->host, entry->uuid) ||
		    reservation_counts(inventory, reservation) == RESERVATION_GONE)
			continue;
		told.vms++;
		told.vcpus += (int64_t)vmdef_vcpus(&reservation->def);
		count_memory(&told, &reservation->def, 1);
	}
	figures->vms = max64(figures->vms, told.vms);
	figures->vcpus = max64(figures->vcpus, told.vcpus);
	figures->memory = min64(figures->memory, told.memory);
	figures->hp = min64(figures->hp, told.hp);
}

static void
add_host(struct planner *planner, const struct inventory *inventory, const struct host_entry *entry)
{
	size_t index = planner->n_hosts++;
	struct placement_host *host = &planner->hosts[index];
	const struct host *from = &entry->host;
	const struct cpudef *cpu = &from->def.cpudef;
	bool self = str_equal(entry->uuid, inventory->self);
	const struct vm_entry *vm;

	memcpy(host->uuid, entry->uuid, sizeof(host->uuid));
	host->name = xstrdup(from->def.name);
	host->arch = xstrdup(from->def.cpuarch.arch);
	host->cstate = from->cstate;
	host->maintenance = from->maintenance;
	host->out = !self && inventory_is_out(inventory, entry->uuid);
	host->told = self || entry->told;
	host->cpus = (int64_t)cpu->nodes * cpu->sockets * cpu->cores * cpu->threads;
	host->figures.memory = from->resources.memory.availablevms;
	host->figures.hp = from->resources.hp.availablevms;
	LIST_FOREACH (vm, &entry->vms, link) {
		if (index_has_left(inventory, vm))
			continue;
		host->figures.vms++;
		host->figures.vcpus +=
		    vm->view.local ? (int64_t)vmdef_vcpus(&vm->view.vm.def) : vm->view.vcpus;
		count_labels(planner, index, &vm->view.vm.def, 1);
	}
}

static void
add_reservations(struct planner *planner, const struct inventory *inventory)
{
	const struct reservation *reservation;

	TAILQ_FOREACH (reservation, &inventory->reservations, link) {
		enum reservation_counts counts = reservation_counts(inventory, reservation);
		struct placement_host *host = counts == RESERVATION_GONE
						  ? NULL
						  : placement_find_host(planner, reservation->host);

		if (host && counts == RESERVATION_WHOLE)
			placement_count(planner, host, &reservation->def, 1);
		else if (host)
			count_memory(&host->figures, &reservation->def, 1);
	}
}

static int
compare(const void *a, const void *b)
{
	const struct host_entry *x = *(const struct host_entry *const *)a;
	const struct host_entry *y = *(const struct host_entry *const *)b;
	int order = strcmp(str_or_empty(x->host.def.name), str_or_empty(y->host.def.name));

	return order ? order : strcmp(x->uuid, y->uuid);
}

struct planner *
planner_new(const struct inventory *inventory)
{
	size_t n = HASH_COUNT(inventory->hosts), i = 0;
	_free_ const struct host_entry **sorted = xcalloc(n + 1, sizeof(*sorted));
	struct planner *planner = xcalloc(1, sizeof(*planner));
	const struct host *self;
	struct host_entry *entry, *next;

	HASH_ITER (hh, inventory->hosts, entry, next)
		sorted[i++] = entry;
	qsort(sorted, n, sizeof(*sorted), compare);
	memcpy(planner->self, inventory->self, sizeof(planner->self));
	planner->hosts = xcalloc(n + 1, sizeof(*planner->hosts));
	for (i = 0; i < n; i++)
		add_host(planner, inventory, sorted[i]);
	add_reservations(planner, inventory);
	for (i = 0; i < n; i++)
		take_told(inventory, sorted[i], &planner->hosts[i].figures);
	self = inventory_find_host(inventory, inventory->self);
	if (self) {
		planner->memory_total = self->resources.memory.total;
		planner->hp_total = self->resources.hp.total;
	}
	return planner;
}

void
planner_free(struct planner *planner)
{
	struct placement_label *label, *next;

	if (!planner)
		return;
	HASH_ITER (hh, planner->labels, label, next) {
		HASH_DEL(planner->labels, label);
		for (size_t i = 0; i < label->n_bearers; i++)
			free(label->bearers[i].vm);
		free(label->bearers);
		free(label->key);
		free(label);
	}
	for (size_t i = 0; i < planner->n_hosts; i++) {
		free(planner->hosts[i].name);
		free(planner->hosts[i].arch);
	}
	free(planner->hosts);
	free(planner);
}

bool
planner_figures(const struct planner *planner, const char *host, struct host_figures *ret)
{
	const struct placement_host *found = placement_find_host(planner, host);

	if (!found || !found->told)
		return false;
	*ret = found->figures;
	return true;
}
