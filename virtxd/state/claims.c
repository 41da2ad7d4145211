/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/claims.h"

#include <string.h>

#include "state/inventory_index.h"

#define SILENT_MS     10000  /* after which an owner that does not answer is not waited for */
#define ANSWER_MS     30000  /* until a claim is answered again */
#define ANSWER_MAX_MS 900000 /* it doubles up to this */

/* Whether the host's own list can be had: the Go virtx has none. */
static bool
can_be_asked(const struct inventory *inventory, const struct host_entry *host)
{
	return host && host->told_digest && host->host.cstate == CSTATE_ACTIVE &&
	       !inventory_is_out(inventory, host->uuid);
}

bool
claim_make(struct inventory *inventory, struct vm_entry *entry, const struct host_entry *host,
    enum vmrunstate runstate, int64_t ts, bool listed, uint64_t mark)
{
	struct claim *claim = &entry->claim;
	bool local = entry->view.local;

	if (!local && (!entry->host || entry->host == host || index_has_left(inventory, entry) ||
			  (!can_be_asked(inventory, entry->host) &&
			      (listed || !can_be_asked(inventory, host)))))
		return false;
	if (!str_equal(claim->host, host->uuid)) {
		index_drop_claim(entry);
		claim->since = monotonic_ms();
		claim->clock = ++inventory->clock;
		claim->owner = !local && !can_be_asked(inventory, entry->host) ? TESTIMONY_MUTE
									       : TESTIMONY_NONE;
		claim->claimant = host->told_digest ? TESTIMONY_NONE : TESTIMONY_MUTE;
		memcpy(claim->host, host->uuid, sizeof(claim->host));
		LIST_INSERT_HEAD(&inventory->claimed, entry, claim_link);
	}
	if (listed)
		claim->claimant = TESTIMONY_HAS;
	if (claim->claimant != TESTIMONY_NONE && (listed || !host->told_digest))
		claim->heard = mark;
	if (!listed && ts < claim->ts)
		return true; /* serf need not keep the order of events */
	claim->runstate = runstate;
	claim->ts = ts;
	return true;
}

void
claims_drop_of(struct inventory *inventory, const struct host_entry *host, uint64_t mark,
    bool (*lists)(void *arg, const char *vm), void *arg)
{
	struct vm_entry *entry, *next;

	for (entry = LIST_FIRST(&inventory->claimed); entry; entry = next) {
		next = LIST_NEXT(entry, claim_link);
		if (!str_equal(entry->claim.host, host->uuid) || entry->claim.clock > mark ||
		    (lists && lists(arg, entry->uuid)))
			continue;
		index_drop_claim(entry);
		/* It has gone from here, and not to where it was said to be; the target of a
		 * migration may not have seen it yet. */
		if (lists && index_has_left(inventory, entry) && !entry->migrated)
			index_bury_vm(inventory, entry, entry->view.vm.ts);
	}
}

void
claim_withdraw(struct vm_entry *entry, const struct host_entry *host, uint64_t mark)
{
	if (str_equal(entry->claim.host, host->uuid) && entry->claim.clock <= mark)
		index_drop_claim(entry);
}

void
claim_outdate(struct vm_entry *entry, const struct host_entry *host, int64_t ts)
{
	if (entry->host == host && entry->claim.ts < ts)
		index_drop_claim(entry);
}

void
claim_hear_owner(struct vm_entry *entry, uint64_t mark, bool leaves)
{
	if (entry->claim.host[0] && entry->claim.clock <= mark)
		entry->claim.owner = leaves ? TESTIMONY_LEFT : TESTIMONY_HAS;
}

void
claim_grant(struct inventory *inventory, struct vm_entry *entry)
{
	struct claim claim = entry->claim;
	struct host_entry *host = index_find_host(inventory, claim.host);

	index_drop_claim(entry);
	if (!host)
		return;
	entry->data_clock = ++inventory->clock;
	index_trim_vm(entry);
	entry->view.vm.ts = claim.ts;
	entry->view.vm.runinfo.runstate = claim.runstate;
	str_set(&entry->view.vm.runinfo.host, host->uuid);
	index_place_vm(entry, host);
	index_tell_vm(inventory, entry);
}

/* Whether a host that has it in that state holds its leases, by what the host says. */
static bool
runs_in(enum vmrunstate runstate)
{
	return runstate == VMRUNSTATE_STARTUP || runstate == VMRUNSTATE_RUNNING ||
	       runstate == VMRUNSTATE_TERMINATING || runstate == VMRUNSTATE_PMSUSPENDED;
}

static bool
is_proven(const struct vm_entry *entry)
{
	const struct claim *claim = &entry->claim;
	enum vmrunstate here = entry->view.vm.runinfo.runstate;
	bool runs = runs_in(claim->runstate);

	if (entry->view.local || claim->claimant == TESTIMONY_NONE)
		return false;
	switch (claim->owner) {
	case TESTIMONY_LEFT:
	case TESTIMONY_MUTE:
		return true;
	case TESTIMONY_HAS:
		/* A host says of itself what it likes: it gets no VM from one that lists it, but
		 * for what is expected. Who has the leases takes the VM over in the registry, and
		 * the other one lists it no more. */
		return runs && here == VMRUNSTATE_MIGRATING;
	case TESTIMONY_NONE:
	default:
		return claim->claimant == TESTIMONY_HAS && runs &&
		       monotonic_ms() - claim->since > SILENT_MS;
	}
}

void
claims_decide(struct inventory *inventory)
{
	struct vm_entry *entry, *next;

	for (entry = LIST_FIRST(&inventory->claimed); entry; entry = next) {
		next = LIST_NEXT(entry, claim_link);
		if (is_proven(entry))
			claim_grant(inventory, entry);
	}
}

bool
claim_must_answer(struct vm_entry *entry, uint64_t mark)
{
	struct claim *claim = &entry->claim;
	int64_t now = monotonic_ms(), wait = ANSWER_MS;

	if (!claim->host[0] || claim->clock > mark || entry->view.vm.ts > claim->ts ||
	    now < claim->answer_due)
		return false;
	for (unsigned int i = 0; i < claim->answers && wait < ANSWER_MAX_MS; i++)
		wait *= 2;
	claim->answers++;
	claim->answer_due = now + (wait < ANSWER_MAX_MS ? wait : ANSWER_MAX_MS);
	return true;
}

void
inventory_each_dispute(
    const struct inventory *inventory, void (*each)(void *arg, const char *host), void *arg)
{
	const struct vm_entry *entry;

	LIST_FOREACH (entry, &inventory->claimed, claim_link) {
		if (!entry->view.local && entry->host)
			each(arg, entry->host->uuid);
		each(arg, entry->claim.host);
	}
}
