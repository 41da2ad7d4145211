/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts as they come and go, and what is odd about them. */
#include <string.h>

#include "proto/log.h"
#include "state/claims.h"
#include "state/index.h"

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
