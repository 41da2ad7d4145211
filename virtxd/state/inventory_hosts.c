/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts as they come and go, and what is odd about them. */
#include <string.h>

#include "proto/log.h"
#include "state/claims.h"
#include "state/inventory_index.h"
#include "state/tokens.h"

#define STORAGE	       "storage"     /* a kind of problem */
#define UNSTARTED      "not-started" /* likewise */
#define CONFLICT_MS    30000	     /* longer than any migration has a VM on two hosts */
#define HOSTS_MAX      1024
#define OVER_TOLD_MAX  4
#define MOST_TOLD_MAX  3
#define SKEW_TOLD_MS   2000
#define SKEWS_TOLD_MAX 4
#define SAME_DAY_MS    86400000 /* what the clocks of those who sign may differ by */
#define NEWS_AHEAD_MS  60000	/* news later than a digest by more has a wrong clock */

static bool
is_away(const struct host_entry *entry)
{
	return entry->host.cstate != CSTATE_ACTIVE;
}

/* Nobody is believed any more who tells of its VMs: it does not matter when they ended. */
static void
forget(struct inventory *inventory, struct host_entry *entry)
{
	struct vm_entry *vm, *next;

	while ((vm = LIST_FIRST(&entry->vms)))
		index_drop_vm(inventory, vm);
	for (vm = LIST_FIRST(&inventory->claimed); vm; vm = next) {
		next = LIST_NEXT(vm, claim_link);
		if (str_equal(vm->claim.host, entry->uuid))
			index_drop_claim(vm);
	}
	entry->host.cstate = CSTATE_INVALID;
	index_tell_host(inventory, entry);
	HASH_DEL(inventory->hosts, entry);
	index_clear_host(entry);
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

/* Of the hosts that are away: who has most VMs, for longest; NULL for none that has any. */
static struct host_entry *
find_largest_away(const struct inventory *inventory)
{
	struct host_entry *entry, *next, *largest = NULL;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (!is_away(entry) || str_equal(entry->uuid, inventory->self) || entry->n_vms == 0)
			continue;
		if (!largest || entry->n_vms > largest->n_vms ||
		    (entry->n_vms == largest->n_vms && entry->away_since < largest->away_since))
			largest = entry;
	}
	return largest;
}

bool
index_make_room(struct inventory *inventory, struct host_entry *host)
{
	static struct log_limit limit, away_limit;
	struct host_entry *away;

	if (host->n_vms < INVENTORY_HOST_VMS && HASH_COUNT(inventory->vms) < INVENTORY_VMS)
		return true;
	away = host->n_vms < INVENTORY_HOST_VMS ? find_largest_away(inventory) : NULL;
	if (away && away != host) {
		log_limited(&away_limit, 5, "inventory",
		    "host '%s' (%s), which is away, is forgotten: its %zu VMs make room",
		    str_or_empty(away->host.def.name), away->uuid, away->n_vms);
		forget(inventory, away);
		return true;
	}
	log_limited(&limit, 1, "inventory",
	    "not all VMs of host '%s' (%s) are taken: it has %zu of %d, and there are %u of %d",
	    str_or_empty(host->host.def.name), host->uuid, host->n_vms, INVENTORY_HOST_VMS,
	    HASH_COUNT(inventory->vms), INVENTORY_VMS);
	return false;
}

/* A host whose member has another uuid, of its own accord or as it was installed anew. */
static void
end_host(struct inventory *inventory, const char *uuid)
{
	static struct log_limit limit;
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry)
		return;
	log_limited(&limit, 5, "inventory",
	    "host '%s' (%s) is forgotten with its %zu VMs: its member has another uuid",
	    str_or_empty(entry->host.def.name), uuid, entry->n_vms);
	forget(inventory, entry);
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
	if (cstate == CSTATE_INVALID) {
		end_host(inventory, id);
		return;
	}
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
inventory_check_forget(const struct inventory *inventory, const char *uuid, struct error *err)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry)
		return error_set(err, 404, "no host '%s' is known", uuid);
	if (!is_away(entry))
		return error_set(err, 409,
		    "host '%s' (%s) is active: only one that has left or failed can be forgotten; "
		    "one that is not to be trusted is put out at once by 'put_out=true', 'virtx "
		    "forget host --put-out'",
		    str_or_empty(entry->host.def.name), uuid);
	return 0;
}

int
inventory_forget_host(struct inventory *inventory, const char *uuid, struct error *err)
{
	if (inventory_check_forget(inventory, uuid, err) < 0)
		return -1;
	forget(inventory, index_find_host(inventory, uuid));
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
inventory_set_maintenance(struct inventory *inventory, const char *uuid, bool maintenance)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry || entry->host.maintenance == maintenance)
		return;
	entry->host.maintenance = maintenance;
	index_tell_host(inventory, entry);
}

void
inventory_set_watchdog(struct inventory *inventory, const char *uuid, enum watchdog watchdog)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry || entry->host.watchdog == watchdog)
		return;
	entry->host.watchdog = watchdog;
	index_tell_host(inventory, entry);
}

void
inventory_set_ha(struct inventory *inventory, const char *uuid, const struct host_ha *ha)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (!entry || host_ha_equal(&entry->ha, ha))
		return;
	entry->ha = *ha;
	index_tell_host(inventory, entry);
}

void
inventory_get_ha(const struct inventory *inventory, const char *uuid, struct host_ha *ret)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	*ret = entry ? entry->ha : (struct host_ha){ 0 };
}

void
inventory_set_ha_off(struct inventory *inventory, const char *uuid, bool off)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (entry)
		entry->ha_off = off;
}

bool
inventory_is_ha_off(const struct inventory *inventory, const char *uuid)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	return entry && entry->ha_off;
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

void
inventory_set_tokens(struct inventory *inventory, const struct tokens *tokens)
{
	inventory->tokens = tokens;
}

bool
inventory_is_out(const struct inventory *inventory, const char *uuid)
{
	return inventory->tokens && tokens_is_out(inventory->tokens, uuid);
}

int
inventory_check_out(const struct inventory *inventory, const char *uuid, struct error *err)
{
	const struct host *host = inventory_find_host(inventory, uuid);

	if (!inventory_is_out(inventory, uuid))
		return 0;
	return error_set(err, 409,
	    "host '%s' (%s) was put out of the cluster, as by 'virtx forget host', and is asked "
	    "nothing; when it was set up anew it may join again by a token for it alone, of 'virtx "
	    "cluster token --host', and as it is where the file 'auth/.out.%s' of the storage is "
	    "removed",
	    host ? str_or_empty(host->def.name) : "", uuid, uuid);
}

/* It has what it had, until that is taken from it elsewhere. */
static char *
out_text(const struct host_entry *entry)
{
	return xasprintf("host '%s' (%s) was put out of the cluster and is active: its %zu VMs run "
			 "on there, out of reach, and it has serf's key and the storage until both "
			 "refuse it",
	    str_or_empty(entry->host.def.name), entry->uuid, entry->n_vms);
}

static bool
is_out_and_active(const struct inventory *inventory, const struct host_entry *entry)
{
	return !is_away(entry) && !str_equal(entry->uuid, inventory->self) &&
	       inventory_is_out(inventory, entry->uuid);
}

char *
inventory_out_text(const struct inventory *inventory, const char *uuid)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	return entry && is_out_and_active(inventory, entry) ? out_text(entry) : NULL;
}

void
inventory_note_certificate(struct inventory *inventory, const char *uuid, int64_t begin)
{
	struct host_entry *entry = index_find_host(inventory, uuid);

	if (entry && begin > entry->newest)
		entry->newest = begin;
}

bool
inventory_is_newest(const struct inventory *inventory, const char *uuid, int64_t begin)
{
	const struct host_entry *entry = index_find_host(inventory, uuid);

	return !entry || begin > entry->newest - SAME_DAY_MS;
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

static bool
is_short(const struct host_entry *entry)
{
	return entry->over && !is_away(entry);
}

static int
compare_sizes(const void *a, const void *b)
{
	const struct host_entry *one = *(const struct host_entry *const *)a;
	const struct host_entry *other = *(const struct host_entry *const *)b;

	if (one->n_vms != other->n_vms)
		return one->n_vms > other->n_vms ? -1 : 1;
	return strcmp(one->uuid, other->uuid);
}

/* The hosts with the most VMs, the largest first. */
static void
add_largest(const struct inventory *inventory, struct buffer *out)
{
	size_t n = 0, n_hosts = HASH_COUNT(inventory->hosts);
	_free_ struct host_entry **hosts = xcalloc(n_hosts + 1, sizeof(*hosts));
	struct host_entry *entry, *next;

	HASH_ITER (hh, inventory->hosts, entry, next)
		hosts[n++] = entry;
	qsort(hosts, n, sizeof(*hosts), compare_sizes);
	for (size_t i = 0; i < n && i < MOST_TOLD_MAX; i++)
		buffer_printf(out, "%s'%s' (%zu)", i ? ", " : "",
		    str_or_empty(hosts[i]->host.def.name), hosts[i]->n_vms);
}

static void
add_short(const struct host_entry *entry, struct buffer *out)
{
	const char *name = str_or_empty(entry->host.def.name);

	if (entry->its_vms > 0 && (size_t)entry->its_vms > entry->n_vms)
		buffer_printf(
		    out, "%zu of the %d VMs of host '%s'", entry->n_vms, (int)entry->its_vms, name);
	else
		buffer_printf(out, "%zu VMs of host '%s', which has more", entry->n_vms, name);
}

char *
inventory_full_text(const struct inventory *inventory)
{
	unsigned int n = 0, n_vms = HASH_COUNT(inventory->vms);
	const struct host_entry *entry, *next;
	struct buffer out = { 0 };
	bool full = false;

	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (!is_short(entry))
			continue;
		full |= entry->n_vms < INVENTORY_HOST_VMS;
		if (++n > OVER_TOLD_MAX)
			continue;
		buffer_printf(&out, "%s", n > 1 ? ", " : "known are only ");
		add_short(entry, &out);
	}
	if (n == 0)
		return xstrdup("");
	if (n > OVER_TOLD_MAX)
		buffer_printf(&out, " and some of %u more hosts", n - OVER_TOLD_MAX);
	if (full) {
		buffer_printf(
		    &out, ": there are %u of %d in all, most of host ", n_vms, INVENTORY_VMS);
		add_largest(inventory, &out);
	} else {
		buffer_printf(&out, ": no more than %d are taken of one host", INVENTORY_HOST_VMS);
	}
	return buffer_steal(&out, NULL);
}

void
inventory_each_short(
    const struct inventory *inventory, void (*each)(void *arg, const char *host), void *arg)
{
	const struct host_entry *entry, *next;

	if (HASH_COUNT(inventory->vms) >= INVENTORY_VMS)
		return;
	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (is_short(entry) && entry->n_vms < INVENTORY_HOST_VMS)
			each(arg, entry->uuid);
	}
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
	_free_ char *full = inventory_full_text(inventory);
	struct host_entry *entry, *next;
	struct error err = { 0 };

	if (!str_empty(inventory->storage))
		add_problem(host, STORAGE, "", xstrdup(inventory->storage));
	if (inventory_check_twins(inventory, &err) < 0)
		add_problem(host, "twin", "", xstrdup(err.detail));
	if (*full)
		add_problem(host, "vms", "", steal_ptr(full));
	HASH_ITER (hh, inventory->hosts, entry, next) {
		if (is_out_and_active(inventory, entry))
			add_problem(host, "put-out", "", out_text(entry));
		else if (entry->host.cstate == CSTATE_ACTIVE && entry->skew > INVENTORY_AHEAD_MS)
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

static void
add_unstarted(struct host *host, const struct vm_entry *entry)
{
	add_problem(host, UNSTARTED, entry->uuid,
	    xasprintf("the VM is wanted on, and %s", entry->view.unstarted));
}

void
inventory_set_unstarted(struct inventory *inventory, const char *uuid, const char *why)
{
	struct host_entry *self = index_find_host(inventory, inventory->self);
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!self || !entry || !entry->view.local)
		return;
	str_set(&entry->view.unstarted, why);
	add_unstarted(&self->host, entry);
	index_tell_host(inventory, self);
}

/* It is known before the next reconciliation, which needs the storage. */
void
inventory_set_storage(struct inventory *inventory, const char *why)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);
	struct host *host = entry ? &entry->host : NULL;
	bool changes = false, told = false;
	size_t n = 0;

	str_set(&inventory->storage, why);
	for (size_t i = 0; host && i < host->n_problems; i++) {
		struct host_problem *problem = &host->problems[i];

		if (str_equal(problem->kind, STORAGE) && !str_equal(problem->detail, why)) {
			model_clear(&host_problem_model, problem);
			changes = true;
			continue;
		}
		told = told || str_equal(problem->kind, STORAGE);
		host->problems[n++] = *problem;
	}
	if (!host)
		return;
	host->n_problems = n;
	if (!told && !str_empty(why))
		add_problem(host, STORAGE, "", xstrdup(why));
	if (changes || host->n_problems > n)
		index_tell_host(inventory, entry);
}

void
inventory_set_problems(struct inventory *inventory, const struct host_problem *problems, size_t n)
{
	struct host_entry *entry = index_find_host(inventory, inventory->self);
	struct host fresh = { 0 };
	struct vm_entry *vm;
	struct host *host;

	if (!entry)
		return;
	host = &entry->host;
	for (size_t i = 0; i < n; i++)
		model_copy(&host_problem_model, model_append(&fresh.problems, &fresh.n_problems),
		    &problems[i]);
	add_conflicts(entry, &fresh);
	LIST_FOREACH (vm, &entry->vms, link) {
		if (!str_empty(vm->view.unstarted))
			add_unstarted(&fresh, vm);
	}
	add_host_problems(inventory, &fresh);
	for (size_t i = 0; i < host->n_problems; i++)
		model_clear(&host_problem_model, &host->problems[i]);
	free(host->problems);
	host->problems = fresh.problems;
	host->n_problems = fresh.n_problems;
	index_tell_host(inventory, entry);
}

bool
inventory_has_told(const struct inventory *inventory, const char *host)
{
	const struct host_entry *entry = index_find_host(inventory, host);

	return entry && entry->told;
}

bool
inventory_tells_digest(const struct inventory *inventory, const char *host)
{
	const struct host_entry *entry = index_find_host(inventory, host);

	return entry && entry->told_digest;
}

enum inventory_match
inventory_match(const struct inventory *inventory, const char *host, uint64_t *ret_digest)
{
	const struct host_entry *entry = index_find_host(inventory, host);
	int64_t ahead;

	if (!entry || !entry->told_digest)
		return INVENTORY_MATCH_UNKNOWN;
	if (ret_digest)
		*ret_digest = entry->its_digest;
	if (entry->digest == entry->its_digest)
		return INVENTORY_MATCH_EQUAL;
	/* Events of a time to come must not put that off for ever. */
	ahead = entry->news_ts - entry->told_ts;
	return ahead > 0 && ahead < NEWS_AHEAD_MS &&
		       monotonic_ms() - entry->ahead_since < NEWS_AHEAD_MS
		   ? INVENTORY_MATCH_UNKNOWN
		   : INVENTORY_MATCH_DIFFERS;
}
