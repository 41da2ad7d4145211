/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts as they come and go, and what is odd about them. */
#include <string.h>

#include "proto/log.h"
#include "state/claims.h"
#include "state/index.h"

#define CONFLICT_MS    30000 /* longer than any migration has a VM on two hosts */
#define HOSTS_MAX      1024
#define SKEW_TOLD_MS   2000
#define SKEWS_TOLD_MAX 4

static bool
is_away(const struct host_entry *entry)
{
	return entry->host.cstate != CSTATE_ACTIVE;
}

static void
forget(struct inventory *inventory, struct host_entry *entry)
{
	struct vm_entry *vm, *next;

	while ((vm = LIST_FIRST(&entry->vms)))
		index_bury_vm(inventory, vm, vm->view.vm.ts);
	for (vm = LIST_FIRST(&inventory->claimed); vm; vm = next) {
		next = LIST_NEXT(vm, claim_link);
		if (str_equal(vm->claim.host, entry->uuid))
			claim_drop(vm);
	}
	entry->host.cstate = CSTATE_INVALID;
	index_tell_host(inventory, entry);
	HASH_DEL(inventory->hosts, entry);
	model_clear(&host_model, &entry->host);
	free(entry->twin);
	free(entry);
}

/* Members may change their uuids without end: the host that is missed least makes room, which is
 * one that never told of itself, or has been away for longest. */
static bool
make_room(struct inventory *inventory)
{
	struct host_entry *entry, *next, *least = NULL;

	if (HASH_COUNT(inventory->hosts) < HOSTS_MAX)
		return true;
	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (!is_away(entry) || str_equal(entry->uuid, inventory->self))
			continue;
		if (!least || entry->told < least->told ||
		    (entry->told == least->told && entry->away_since < least->away_since))
			least = entry;
	}
	if (least)
		forget(inventory, least);
	return least;
}

void
inventory_set_host(
    struct inventory *inventory, const char *uuid, const char *name, enum cstate cstate)
{
	static struct log_limit limit;
	struct host_entry *entry;
	struct host *host;
	char id[UUID_TEXT_SIZE];
	bool renamed;

	if (uuid_normalize(uuid, id) < 0 || str_equal(id, inventory->self))
		return;
	if (!index_find_host(inventory, id) && !make_room(inventory)) {
		log_limited(&limit, 5, "inventory", "host '%s' is passed over: there are %d", id,
		    HOSTS_MAX);
		return;
	}
	entry = index_need_host(inventory, id);
	host = &entry->host;
	renamed = !entry->told && !str_equal(host->def.name, name);
	if (!renamed && host->cstate == cstate)
		return;
	if (renamed)
		str_set(&host->def.name, name);
	if (host->cstate == CSTATE_ACTIVE || host->cstate == CSTATE_INVALID)
		entry->away_since = monotonic_ms();
	host->cstate = cstate;
	host->ts = now_ms();
	index_tell_host(inventory, entry);
}

int
inventory_forget_host(struct inventory *inventory, const char *uuid, struct error *err)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry)
		return error_set(err, 404, "no host '%s' is known", uuid);
	if (!is_away(entry))
		return error_set(err, 409,
		    "host '%s' (%s) is active: only one that has left or failed can be forgotten",
		    str_or_empty(entry->host.def.name), uuid);
	forget(inventory, entry);
	return 0;
}

bool
inventory_find_away(const struct inventory *inventory, int64_t ms, char ret[UUID_TEXT_SIZE])
{
	struct host_entry *entry, *next;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (!is_away(entry) || str_equal(entry->uuid, inventory->self) ||
		    monotonic_ms() - entry->away_since < ms)
			continue;
		memcpy(ret, entry->uuid, UUID_TEXT_SIZE);
		return true;
	}
	return false;
}

void
inventory_set_twin(struct inventory *inventory, const char *uuid, const char *twin)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (entry)
		str_set(&entry->twin, twin);
}

int
inventory_check_twins(const struct inventory *inventory, struct error *err)
{
	struct host_entry *entry, *next;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (!str_empty(entry->twin) && !is_away(entry))
			return error_set(err, 409,
			    "host '%s' and member '%s' of serf both have the uuid '%s': give one "
			    "of them another",
			    str_or_empty(entry->host.def.name), entry->twin, entry->uuid);
	}
	return 0;
}

char *
inventory_skew_text(const struct inventory *inventory)
{
	struct host_entry *host, *next;
	struct buffer out = { 0 };
	unsigned int n = 0;

	HASH_ITER (hh, inventory->hosts, host, next) {
		int64_t ms = host->skew < 0 ? -host->skew : host->skew;

		if (host->host.cstate != CSTATE_ACTIVE || ms <= SKEW_TOLD_MS)
			continue;
		if (++n <= SKEWS_TOLD_MAX)
			buffer_printf(&out, "%sthe clock of host '%s' is %lld.%lld s %s",
			    n > 1 ? "; " : "", str_or_empty(host->host.def.name),
			    (long long)(ms / 1000), (long long)(ms % 1000 / 100),
			    host->skew > 0 ? "ahead" : "behind");
	}
	if (n > SKEWS_TOLD_MAX)
		buffer_printf(&out, "; and those of %u more", n - SKEWS_TOLD_MAX);
	return n ? buffer_steal(&out, NULL) : xstrdup("");
}

static void
add_problem(struct host *host, const char *kind, const char *vm, char *detail)
{
	struct host_problem *problem = model_append(&host->problems, &host->n_problems);

	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(vm);
	problem->detail = detail;
}

/* What is wrong with the hosts of the cluster, as this one sees them. */
static void
add_host_problems(const struct inventory *inventory, struct host *host)
{
	struct host_entry *entry, *next;
	struct error err = { 0 };

	if (inventory_check_twins(inventory, &err) < 0)
		add_problem(host, "twin", "", xstrdup(err.detail));
	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (entry->over)
			add_problem(host, "vms", "",
			    xasprintf("host '%s' has more VMs than are shown of one (%d), or the "
				      "cluster has (%d)",
				str_or_empty(entry->host.def.name), INVENTORY_HOST_VMS,
				INVENTORY_VMS));
		if (entry->host.cstate == CSTATE_ACTIVE && entry->skew > INVENTORY_AHEAD_MS)
			add_problem(host, "clock", "",
			    xasprintf("the clock of host '%s' is %lld s ahead: its events are not "
				      "believed",
				str_or_empty(entry->host.def.name), (long long)entry->skew / 1000));
	}
}

/* A VM of ours that another host keeps saying it has. */
static void
add_conflicts(struct host_entry *self, struct host *host)
{
	int64_t now = monotonic_ms();
	struct vm_entry *entry;

	LIST_FOREACH (entry, &self->vms, link) {
		if (!entry->claim.host[0] || now - entry->claim.since < CONFLICT_MS)
			continue;
		add_problem(host, "conflict", entry->uuid,
		    xasprintf("host '%s' has this VM too: undefine it on one of the two",
			entry->claim.host));
	}
}

void
inventory_set_problems(struct inventory *inventory, const struct host_problem *problems, size_t n)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);
	struct host fresh = { 0 };
	struct host *host;

	if (!entry)
		return;
	host = &entry->host;
	for (size_t i = 0; i < n; i++)
		model_copy(&host_problem_model, model_append(&fresh.problems, &fresh.n_problems),
		    &problems[i]);
	add_conflicts(entry, &fresh);
	add_host_problems(inventory, &fresh);
	for (size_t i = 0; i < host->n_problems; i++)
		model_clear(&host_problem_model, &host->problems[i]);
	free(host->problems);
	host->problems = fresh.problems;
	host->n_problems = fresh.n_problems;
	index_tell_host(inventory, entry);
}
