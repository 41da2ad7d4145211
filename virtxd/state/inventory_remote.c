/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other hosts tell of themselves and their VMs. */
#include <string.h>

#include "state/claims.h"
#include "state/inventory_index.h"
#include "state/inventory_remote.h"
#include "state/reservation.h"

#define SKEW_DELAY_MS 10000 /* that an event may be on its way */
#define RETELL_MS     1000  /* until a VM is told again that somebody told in our name */
#define DIGEST_MS     45000 /* a host that tells its digest does so several times in this */
#define CLOCK_RESET_MS                                                            \
	120000 /* what is older than the last HI, and comes later than this after \
		  it, was not held up: the host's clock was set back */

static bool
is_ahead(int64_t ts)
{
	return ts > now_ms() + INVENTORY_AHEAD_MS;
}

int64_t
remote_believed(int64_t ts)
{
	return is_ahead(ts) ? now_ms() : ts < 0 ? 0 : ts;
}

/* Whether what the host tells is not listened to. */
static bool
is_out(const struct inventory *inventory, const char *uuid)
{
	char id[UUID_TEXT_SIZE];

	return uuid_normalize(uuid, id) == 0 && inventory_is_out(inventory, id);
}

struct host_entry *
remote_teller(const struct inventory *inventory, const char *uuid)
{
	char id[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, id) < 0 || str_equal(id, inventory->self) ||
	    inventory_is_out(inventory, id))
		return NULL;
	return index_find_host(inventory, id);
}

enum inventory_news
remote_no_teller(const struct inventory *inventory, const char *uuid)
{
	char id[UUID_TEXT_SIZE];

	if (uuid_normalize(uuid, id) == 0 && str_equal(id, inventory->self))
		return INVENTORY_OLD;
	return INVENTORY_REFUSED;
}

/* Any member can send an event in this host's name. One about a VM of its own, later than all that
 * it told of that, is believed by the others: it tells the VM anew, later still. Of one that it
 * does not have its digest tells. */
static enum inventory_news
answer_forged(struct inventory *inventory, const char *vm, enum vmrunstate runstate, int64_t ts)
{
	struct host_entry *self = index_find_host(inventory, inventory->self);
	const struct tombstone *tombstone;
	struct vm_entry *entry;
	char uuid[UUID_TEXT_SIZE];
	bool ends = runstate == VMRUNSTATE_DELETED;
	int64_t now = monotonic_ms();

	/* Before the first HI it may be what this host told before it was started anew. */
	if (!self || self->told_ts == 0 || uuid_normalize(vm, uuid) < 0 || is_ahead(ts))
		return INVENTORY_OLD;
	entry = index_find_vm(inventory, uuid);
	tombstone = index_find_tombstone(inventory, uuid);
	if (entry ? !entry->view.local || ts + ends <= entry->view.vm.ts
		  : ends || (tombstone && ts <= tombstone->ts))
		return INVENTORY_OLD;
	/* The next HI is not to be older, or the others do not look at its digest. */
	index_note_news(self, ts);
	if (!entry || now < entry->retell_due)
		return INVENTORY_FORGED;
	entry->retell_due = now + RETELL_MS;
	entry->view.vm.ts = ts + 1;
	index_place_vm(entry, entry->host);
	index_tell_vm(inventory, entry);
	return INVENTORY_FORGED;
}

static void
set_fields(struct host *host, const struct host_list_fields *fields)
{
	struct hostdef *def = &host->def;

	str_set(&def->name, fields->name);
	model_clear(&cpuarch_model, &def->cpuarch);
	model_copy(&cpuarch_model, &def->cpuarch, &fields->cpuarch);
	model_clear(&cpudef_model, &def->cpudef);
	model_copy(&cpudef_model, &def->cpudef, &fields->cpudef);
	host->resources.memory.availablevms = fields->memoryavailable;
	host->resources.hp.availablevms = fields->hpavailable;
	str_set(&def->osid, fields->osid);
	str_set(&def->osv, fields->osv);
}

void
remote_note_skew(struct host_entry *host, int64_t ts, bool asked)
{
	int64_t ms = (ts < 0 ? 0 : ts) - now_ms();

	if (!asked && host->skew_known && ms < host->skew && ms > host->skew - SKEW_DELAY_MS)
		return;
	host->skew_known = true;
	host->skew = ms;
}

/* The host's word about itself; digest is NULL where it gave none. False for what is older than
 * what is known. */
static bool
take_fields(struct inventory *inventory, struct host_entry *entry,
    const struct host_list_fields *told, const struct host_digest *digest, bool asked)
{
	struct host_list_fields shown = index_host_fields(&entry->host), fields = *told;
	int64_t now = monotonic_ms();

	if (entry->told && !asked && fields.ts <= entry->told_ts &&
	    now - entry->told_at < CLOCK_RESET_MS)
		return false;
	if (entry->news_ts <= entry->told_ts)
		entry->ahead_since = now;
	entry->told = true;
	entry->told_ts = fields.ts;
	entry->told_at = now;
	entry->told_digest = digest != NULL;
	if (digest) {
		entry->its_digest = (uint64_t)digest->digest;
		entry->its_vms = digest->vms;
	}
	/* The state is for serf to tell. */
	fields.cstate = shown.cstate;
	fields.ts = shown.ts;
	if (!model_equal(&host_list_fields_model, &fields, &shown)) {
		set_fields(&entry->host, &fields);
		index_tell_host(inventory, entry);
	}
	entry->host.ts = told->ts;
	return true;
}

/* Whether an HI that is too old to be taken tells what is known. */
static bool
is_like(
    const struct host_entry *entry, const struct host_info *info, const struct host_digest *digest)
{
	struct host_list_fields shown = index_host_fields(&entry->host), fields = info->fields;

	fields.cstate = shown.cstate;
	fields.ts = shown.ts;
	return model_equal(&host_list_fields_model, &fields, &shown) &&
	       (!digest || (uint64_t)digest->digest == entry->digest);
}

/* An HI in this host's name, later than all that it told: the next is later still, or the others do
 * not take it. */
static enum inventory_news
answer_forged_host(struct inventory *inventory, const struct host_info *info)
{
	struct host_entry *self = index_find_host(inventory, inventory->self);

	if (!self || self->told_ts == 0 || info->fields.ts <= self->told_ts)
		return INVENTORY_OLD;
	if (!is_ahead(info->fields.ts))
		index_note_news(self, info->fields.ts + 1);
	return INVENTORY_FORGED;
}

/* Whether the HI lacks the digest that the host tells each time: somebody else sent it, or a Go
 * virtx is in its place, whose own are all that there is after a while. */
static bool
lacks_digest(const struct host_entry *entry, const struct host_digest *digest)
{
	return !digest && entry->told_digest && monotonic_ms() - entry->told_at < DIGEST_MS;
}

enum inventory_news
inventory_take_host(
    struct inventory *inventory, const struct host_info *info, const struct host_digest *digest)
{
	struct host_entry *entry = remote_teller(inventory, info->uuid);
	enum inventory_news news;

	if (is_out(inventory, info->uuid))
		return INVENTORY_OLD;
	if (!entry) {
		news = remote_no_teller(inventory, info->uuid);
		return news == INVENTORY_OLD ? answer_forged_host(inventory, info) : news;
	}
	remote_note_skew(entry, info->fields.ts, false);
	if (is_ahead(info->fields.ts))
		return INVENTORY_AHEAD;
	if (lacks_digest(entry, digest))
		return INVENTORY_DOUBTED;
	/* Either this one was held up, or that which was taken is not the host's. */
	if (!take_fields(inventory, entry, &info->fields, digest, false))
		return is_like(entry, info, digest) ? INVENTORY_OLD : INVENTORY_DOUBTED;
	/* By its digest it has no more than is known. */
	if (inventory_match(inventory, entry->uuid, NULL) == INVENTORY_MATCH_EQUAL) {
		claims_drop_of(inventory, entry, UINT64_MAX, NULL, NULL);
		entry->over = false;
	}
	return INVENTORY_TAKEN;
}

/* Of a VI that tells nothing of the needs: what was told before stays. */
static struct vm_info
with_needs(const struct vm_info *info, const struct vm_info *before)
{
	struct vm_info whole = *info;

	if (whole.memory <= 0) {
		whole.memory = before->memory;
		whole.hp = before->hp;
		whole.want = before->want;
	}
	return whole;
}

void
remote_set_info(struct inventory *inventory, struct vm_entry *entry, struct host_entry *host,
    const struct vm_info *info)
{
	struct vm *vm = &entry->view.vm;
	struct vm_info before = inventory_vm_info(&entry->view);
	const struct vm_info whole = with_needs(info, &before);
	struct custom_field custom[VMDEF_CUSTOM_MAX];
	struct vmdef from = { .name = info->name,
		.vlanid = info->vlanid,
		.memory = { whole.memory, whole.hp },
		.custom = custom,
		.n_custom = vm_info_custom(info, custom) };
	bool same = entry->host == host && vm_info_digest(&before) == vm_info_digest(&whole);

	entry->data_clock = ++inventory->clock;
	entry->partial = false;
	/* Of a host whose clock is wrong, which was asked. */
	vm->ts = remote_believed(info->ts);
	if (same)
		return;
	index_trim_vm(entry);
	model_clear(&vmdef_model, &vm->def);
	model_copy(&vmdef_model, &vm->def, &from);
	vm->want = whole.want;
	entry->view.vcpus = info->vcpus;
	vm->runinfo.runstate = info->runstate;
	str_set(&vm->runinfo.host, host->uuid);
	index_place_vm(entry, host);
	index_tell_vm(inventory, entry);
}

/* The VM has ended, as its host says; in the Go virtx's words the host may be missing, and the
 * time. */
static enum inventory_news
take_end(struct inventory *inventory, struct vm_entry *entry, struct host_entry *host, int64_t ts)
{
	bool untimed = ts == 0 && entry->host && !entry->host->told_digest;

	if (entry->view.local) {
		if (host && str_equal(entry->claim.host, host->uuid))
			index_drop_claim(entry);
		return INVENTORY_OLD;
	}
	if (!untimed && ts < entry->view.vm.ts)
		return INVENTORY_OLD;
	/* A host has the last word about its own VMs, and its digest tells when one is missed. */
	if (entry->host && entry->host != host && entry->host->told_digest)
		return INVENTORY_OLD;
	index_bury_vm(inventory, entry, untimed ? entry->view.vm.ts : ts);
	return INVENTORY_TAKEN;
}

static bool
is_it(void *arg, const char *vm)
{
	return str_equal(arg, vm);
}

enum inventory_news
inventory_take_event(struct inventory *inventory, const struct vm_event *event)
{
	struct host_entry *host = remote_teller(inventory, event->host);
	bool ends = event->runstate == VMRUNSTATE_DELETED;
	enum inventory_news news;
	struct vm_entry *entry;
	struct vm *vm;
	char uuid[UUID_TEXT_SIZE];

	if (is_out(inventory, event->host))
		return INVENTORY_OLD;
	if (!host && !(ends && str_empty(event->host))) {
		news = remote_no_teller(inventory, event->host);
		return news == INVENTORY_OLD
			   ? answer_forged(inventory, event->uuid, event->runstate, event->ts)
			   : news;
	}
	if (uuid_normalize(event->uuid, uuid) < 0 || event->runstate == VMRUNSTATE_NONE)
		return INVENTORY_REFUSED;
	if (is_ahead(event->ts))
		return INVENTORY_AHEAD;
	entry = index_find_vm(inventory, uuid);
	/* Who takes the host for one that runs the Go virtx believes it. */
	if (!host && entry && entry->view.local)
		return answer_forged(inventory, uuid, event->runstate, event->ts);
	if (host)
		index_note_news(host, event->ts);
	if (ends && !entry && host)
		reservation_forget(inventory, host->uuid, UINT64_MAX, is_it, uuid);
	if (ends)
		return entry ? take_end(inventory, entry, host, event->ts) : INVENTORY_OLD;
	if (!entry) {
		const struct tombstone *tombstone = index_find_tombstone(inventory, uuid);

		if (tombstone && event->ts <= tombstone->ts)
			return INVENTORY_OLD;
		/* Asking the host does not make room; its digest does ask. */
		return host->over ? INVENTORY_FULL : INVENTORY_MISSING;
	}
	vm = &entry->view.vm;
	if (event->ts <= vm->ts)
		return INVENTORY_OLD;
	if (claim_make(inventory, entry, host, event->runstate, event->ts, false, inventory->clock))
		return INVENTORY_CLAIM;
	claim_outdate(entry, host, event->ts);
	entry->data_clock = ++inventory->clock;
	vm->ts = event->ts;
	if (vm->runinfo.runstate == event->runstate && entry->host == host)
		return INVENTORY_TAKEN;
	vm->runinfo.runstate = event->runstate;
	if (entry->host != host)
		index_trim_vm(entry);
	str_set(&vm->runinfo.host, host->uuid);
	index_place_vm(entry, host);
	index_tell_vm(inventory, entry);
	return INVENTORY_TAKEN;
}

struct vm_entry *
remote_add_vm(struct inventory *inventory, struct host_entry *host, const char *uuid)
{
	bool room = index_make_room(inventory, host);

	/* Where there is a digest, the next list tells whether that was all. */
	host->over = !room || (host->over && host->told_digest);
	return room ? index_add_vm(inventory, uuid) : NULL;
}

enum inventory_news
inventory_take_info(struct inventory *inventory, const struct vm_info *info)
{
	struct host_entry *host = remote_teller(inventory, info->host);
	const struct tombstone *tombstone;
	enum inventory_news news;
	struct vm_entry *entry;
	char uuid[UUID_TEXT_SIZE];

	if (is_out(inventory, info->host))
		return INVENTORY_OLD;
	if (!host) {
		news = remote_no_teller(inventory, info->host);
		return news == INVENTORY_OLD
			   ? answer_forged(inventory, info->uuid, info->runstate, info->ts)
			   : news;
	}
	if (uuid_normalize(info->uuid, uuid) < 0 || info->runstate <= VMRUNSTATE_DELETED)
		return INVENTORY_REFUSED;
	if (is_ahead(info->ts))
		return INVENTORY_AHEAD;
	index_note_news(host, info->ts);
	entry = index_find_vm(inventory, uuid);
	if (!entry) {
		tombstone = index_find_tombstone(inventory, uuid);
		if (tombstone && info->ts <= tombstone->ts)
			return INVENTORY_OLD;
		entry = remote_add_vm(inventory, host, uuid);
		if (!entry)
			return INVENTORY_FULL;
	} else if (info->ts < entry->view.vm.ts + !entry->partial) {
		return INVENTORY_OLD;
	} else if (claim_make(
		       inventory, entry, host, info->runstate, info->ts, false, inventory->clock)) {
		return INVENTORY_CLAIM;
	}
	claim_outdate(entry, host, info->ts);
	remote_set_info(inventory, entry, host, info);
	return INVENTORY_TAKEN;
}

/* One VM of a list that tells neither custom fields nor vcpus: what is known of them stays until
 * the host's next VI, which may be of the same time. True for a claim. */
static bool
take_listed(
    struct inventory *inventory, const struct host_entry *host, const struct vm_list_item *item)
{
	const struct vm_list_fields *fields = &item->fields;
	char uuid[UUID_TEXT_SIZE], its_host[UUID_TEXT_SIZE];
	struct vm_entry *entry;
	struct vm_info info = { 0 }, known;
	enum inventory_news news;

	if (uuid_normalize(item->uuid, uuid) < 0 || uuid_normalize(fields->host, its_host) < 0 ||
	    !str_equal(its_host, host->uuid))
		return false;
	entry = index_find_vm(inventory, uuid);
	if (entry && fields->ts <= entry->view.vm.ts)
		return false;
	if (entry) {
		known = inventory_vm_info(&entry->view);
		model_copy(&vm_info_model, &info, &known);
	}
	str_set(&info.uuid, uuid);
	str_set(&info.host, its_host);
	str_set(&info.name, fields->name);
	info.runstate = fields->runstate;
	info.vlanid = fields->vlanid;
	info.ts = fields->ts;
	news = inventory_take_info(inventory, &info);
	model_clear(&vm_info_model, &info);
	entry = index_find_vm(inventory, uuid);
	if (entry && news == INVENTORY_TAKEN)
		entry->partial = true;
	return news == INVENTORY_CLAIM;
}

enum inventory_news
inventory_take_listed(struct inventory *inventory, const char *uuid, const struct vm_list *list)
{
	struct host_entry *host = remote_teller(inventory, uuid);
	bool claims = false;

	if (!host)
		return remote_no_teller(inventory, uuid);
	for (size_t i = 0; i < list->n_items; i++)
		claims |= take_listed(inventory, host, &list->items[i]);
	return claims ? INVENTORY_CLAIM : INVENTORY_TAKEN;
}

/* One VM of a host's list. Of its own VMs the host has the last word, except about what came in
 * after it was asked. */
static void
take_item(struct inventory *inventory, uint64_t mark, struct host_entry *host,
    const struct vm_info *info, const char *uuid)
{
	const struct tombstone *tombstone = index_find_tombstone(inventory, uuid);
	struct vm_entry *entry = index_find_vm(inventory, uuid);

	if (!entry) {
		/* Of one that has left the host tells where it was; it may have ended since. */
		if (tombstone &&
		    (info->left || (tombstone->clock > mark && info->ts <= tombstone->ts)))
			return;
		entry = remote_add_vm(inventory, host, uuid);
		if (entry)
			remote_set_info(inventory, entry, host, info);
		return;
	}
	if (info->left && entry->host && entry->host != host) {
		claim_withdraw(entry, host, mark);
		return;
	}
	if (claim_make(
		inventory, entry, host, info->runstate, remote_believed(info->ts), true, mark))
		return;
	if (entry->host != host || info->ts > entry->view.vm.ts || entry->data_clock <= mark)
		remote_set_info(inventory, entry, host, info);
	claim_hear_owner(entry, mark, info->left);
	entry->before[0] = '\0';
}

struct seen {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
};

static bool
is_listed(void *arg, const char *vm)
{
	struct seen *seen = arg, *found;

	HASH_FIND_STR(seen, vm, found);
	return found;
}

static bool
is_unlisted(void *arg, const char *vm)
{
	return !is_listed(arg, vm);
}

/* What the host has not listed is with who claims it, also where that was not asked. */
static void
grant_unlisted(struct inventory *inventory, const struct host_entry *host, struct vm_entry *entry)
{
	bool asked = entry->claim.claimant == TESTIMONY_HAS;

	claim_grant(inventory, entry);
	if (asked)
		return;
	memcpy(entry->before, host->uuid, sizeof(entry->before));
	entry->before_clock = inventory->clock;
}

/* What the host did not list has ended, or left; a claim that it does not repeat is dropped. */
static void
drop_unlisted(
    struct inventory *inventory, uint64_t mark, struct host_entry *host, struct seen *seen)
{
	struct vm_entry *entry, *next;

	claims_drop_of(inventory, host, mark, is_listed, seen);
	for (entry = LIST_FIRST(&host->vms); entry; entry = next) {
		next = LIST_NEXT(entry, link);
		if (is_listed(seen, entry->uuid) || entry->data_clock > mark)
			continue;
		if (entry->claim.host[0])
			grant_unlisted(inventory, host, entry);
		else
			index_bury_vm(inventory, entry, entry->view.vm.ts);
	}
	claims_decide(inventory);
	reservation_forget(inventory, host->uuid, mark, is_unlisted, seen);
}

enum inventory_news
inventory_take_list(struct inventory *inventory, uint64_t mark, const struct vm_info_list *list)
{
	struct host_digest digest = { HOST_DIGEST_VERSION, (int32_t)list->n_items, list->digest };
	struct host_entry *host = remote_teller(inventory, list->host);
	struct seen *seen = NULL, *one, *next;
	_free_ struct seen *all = NULL;
	size_t n = 0;

	if (!host)
		return remote_no_teller(inventory, list->host);
	remote_note_skew(host, list->fields.ts, true);
	host->listed = mark;
	host->over = false;
	all = xcalloc(list->n_items + 1, sizeof(*all));
	for (size_t i = 0; i < list->n_items; i++) {
		const struct vm_info *info = &list->items[i];

		one = &all[n];
		if (!str_equal(info->host, host->uuid) || info->runstate <= VMRUNSTATE_DELETED ||
		    uuid_normalize(info->uuid, one->uuid) < 0)
			continue;
		HASH_ADD_STR(seen, uuid, one);
		n++;
		take_item(inventory, mark, host, info, one->uuid);
	}
	drop_unlisted(inventory, mark, host, seen);
	index_set_undecided(inventory, host, list->undecided, list->n_undecided);
	HASH_ITER (hh, seen, one, next)
		HASH_DEL(seen, one);
	take_fields(inventory, host, &list->fields, &digest, true);
	return INVENTORY_TAKEN;
}
