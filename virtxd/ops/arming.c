/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/arming.h"

#include <assert.h>

#include "proto/log.h"

#define LOOK_MAX_MS 120000 /* that a look counts: several that come after it may fail */
#define UNSEEN	    "it has not been looked at yet"
#define UNSAFE                                                                                 \
	"unsafe_without_watchdog is set: nothing makes sure that a VM of this host has ended " \
	"when "                                                                                \
	"another one starts it, and its disks may be destroyed; it is for trials"

enum arming_state {
	ARMING_OFF,
	ARMING_WAITS,
	ARMING_ON,
	ARMING_LOST,
	ARMING_STATE_N,
};

static const char *const state_names[ARMING_STATE_N] = { "off", "waits", "armed", "lost" };

static const unsigned int transitions[ARMING_STATE_N] = {
	[ARMING_OFF] = 1 << ARMING_WAITS | 1 << ARMING_ON,
	[ARMING_WAITS] = 1 << ARMING_ON | 1 << ARMING_OFF,
	[ARMING_ON] = 1 << ARMING_OFF | 1 << ARMING_WAITS | 1 << ARMING_LOST,
	[ARMING_LOST] = 1 << ARMING_ON | 1 << ARMING_WAITS | 1 << ARMING_OFF,
};

struct arming {
	const struct config *config;
	struct inventory *inventory;
	enum arming_state state;
	struct host_ha told; /* the others, while it is armed or lost */
	char *lockspace_why; /* "" while it is joined */
	/* The last look that was answered, while the lockspace is joined. */
	bool looked;
	bool looks_joined; /* it has been joined since the look that is under way began */
	int64_t looked_at; /* monotonic ms */
	struct watchdog_result found;
	char *look_why; /* why the last one failed, "" where it did not */
	struct ha_reason *reasons;
	size_t n_reasons;
	char *why; /* all of them */
};

static void
set_state(struct arming *arming, enum arming_state state)
{
	assert(transitions[arming->state] & 1U << state);
	log_debug("ha", "arming: %s, then %s", state_names[arming->state], state_names[state]);
	arming->state = state;
}

static void
add_reason(struct arming *arming, const char *text)
{
	model_append(&arming->reasons, &arming->n_reasons)->detail = xstrdup(text);
}

static void
clear_reasons(struct arming *arming)
{
	for (size_t i = 0; i < arming->n_reasons; i++)
		model_clear(&ha_reason_model, &arming->reasons[i]);
	free(arming->reasons);
	arming->reasons = NULL;
	arming->n_reasons = 0;
}

/* What the others would be told; false where it is not known, or is nothing that they take. */
static bool
find_ha(const struct arming *arming, struct host_ha *ret)
{
	const struct watchdog_result *found = &arming->found;

	*ret = (struct host_ha){ true, found->host_id, (uint64_t)found->generation,
		found->io_timeout, found->fire_timeout };
	if (arming->looked && found->host_id > 0 && host_ha_is_valid(ret))
		return true;
	*ret = (struct host_ha){ 0 };
	return false;
}

static bool
is_joined_for_long(const struct arming *arming, const struct host_ha *ha)
{
	int64_t joined = arming->found.joined * 1000 + monotonic_ms() - arming->looked_at;

	return joined >= (int64_t)host_ha_wait(ha) * 1000;
}

/* What sanlock and wdmd miss; the lockspace is joined, and was looked at. */
static void
add_missing(struct arming *arming)
{
	const struct watchdog_result *found = &arming->found;

	if (!str_empty(found->why) && !arming->config->ha_unsafe) {
		_free_ char *text = xasprintf("no watchdog protects this host: %s", found->why);

		add_reason(arming, text);
	}
	if (!str_empty(found->name_why))
		add_reason(arming, found->name_why);
}

static void
add_unknown(struct arming *arming)
{
	_free_ char *text = NULL;

	if (!str_empty(arming->look_why))
		text = xasprintf("sanlock and wdmd do not tell what they do: %s", arming->look_why);
	add_reason(arming,
	    text ? text : "sanlock has not told yet how this host is known in the lockspace");
}

static void
add_wait(struct arming *arming, const struct host_ha *ha)
{
	_free_ char *text = xasprintf(
	    "the lockspace has to be joined for %d s without a gap: 8 io_timeouts of %d s, and %d "
	    "s until a watchdog fires",
	    host_ha_wait(ha), ha->io_timeout, ha->fire_timeout);

	add_reason(arming, text);
}

/* The state that follows from what is known, with its reasons. One that is lost stays so until it
 * is told how the lockspace was joined again. */
static enum arming_state
judge(struct arming *arming)
{
	bool holds = arming->state == ARMING_ON || arming->state == ARMING_LOST;
	struct host_ha ha;

	if (!str_empty(arming->lockspace_why)) {
		_free_ char *text =
		    xasprintf("the lockspace is not joined: %s", arming->lockspace_why);

		add_reason(arming, text);
		return holds ? ARMING_LOST : ARMING_OFF;
	}
	if (arming->looked)
		add_missing(arming);
	if (!find_ha(arming, &ha)) {
		add_unknown(arming);
		return arming->state == ARMING_LOST ? ARMING_LOST : ARMING_OFF;
	}
	if (arming->n_reasons > 0)
		return ARMING_OFF;
	if (!is_joined_for_long(arming, &ha)) {
		add_wait(arming, &ha);
		return ARMING_WAITS;
	}
	arming->told = ha;
	return ARMING_ON;
}

static void
tell(const struct arming *arming, enum arming_state before)
{
	if (arming->state == ARMING_ON)
		log_info("ha",
		    "this host is armed: it is host_id %d, generation %llu of the lockspace, and "
		    "its leases may be taken %d s after their last renewal",
		    arming->told.host_id, (unsigned long long)arming->told.generation,
		    host_ha_wait(&arming->told));
	else if (before == ARMING_ON)
		log_warning("ha", "this host is not armed any more: %s", arming->why);
	else
		log_info("ha", "this host is not armed: %s", arming->why);
}

/* All reasons as one text. */
static char *
join_reasons(const struct arming *arming)
{
	struct buffer out = { 0 };

	for (size_t i = 0; i < arming->n_reasons; i++)
		buffer_printf(&out, "%s%s", i ? "; " : "", arming->reasons[i].detail);
	return out.len ? buffer_steal(&out, NULL) : xstrdup("");
}

void
arming_check(struct arming *arming)
{
	enum arming_state before = arming->state, state;
	_free_ char *old = arming->why;

	if (arming->looked && monotonic_ms() - arming->looked_at > LOOK_MAX_MS)
		arming->looked = false;
	clear_reasons(arming);
	state = judge(arming);
	arming->why = join_reasons(arming);
	if (state != before)
		set_state(arming, state);
	if (!arming_fences(arming))
		arming->told = (struct host_ha){ 0 };
	if (state != before || !str_equal(old, arming->why))
		tell(arming, before);
	/* The inventory may come to know this host only later. */
	inventory_set_ha(arming->inventory, inventory_self(arming->inventory), &arming->told);
}

void
arming_set_lockspace(struct arming *arming, const char *why)
{
	if (!str_empty(why))
		arming->looked = arming->looks_joined = false;
	if (str_equal(why, arming->lockspace_why))
		return;
	str_set(&arming->lockspace_why, why);
	arming_check(arming);
}

void
arming_begin_look(struct arming *arming)
{
	arming->looks_joined = str_empty(arming->lockspace_why);
}

void
arming_set_look(struct arming *arming, const struct watchdog_result *res, const struct error *err)
{
	str_set(&arming->look_why, res ? "" : err->detail);
	/* What was found before the lockspace was joined is old. */
	if (res && arming->looks_joined) {
		model_clear(&watchdog_result_model, &arming->found);
		model_copy(&watchdog_result_model, &arming->found, res);
		arming->looked = true;
		arming->looked_at = monotonic_ms();
	}
	arming_check(arming);
}

bool
arming_is_looked_at(const struct arming *arming)
{
	return !str_empty(arming->lockspace_why) || (arming->looked && arming->found.host_id > 0);
}

bool
arming_is_armed(const struct arming *arming)
{
	return arming->state == ARMING_ON;
}

bool
arming_fences(const struct arming *arming)
{
	return arming->state == ARMING_ON || arming->state == ARMING_LOST;
}

const char *
arming_why(const struct arming *arming)
{
	return arming->why;
}

void
arming_add_reasons(const struct arming *arming, struct ha_status *ret)
{
	for (size_t i = 0; i < arming->n_reasons; i++)
		model_append(&ret->reasons, &ret->n_reasons)->detail =
		    xstrdup(arming->reasons[i].detail);
}

const char *
arming_unsafe(const struct arming *arming)
{
	return arming->config->ha_unsafe ? UNSAFE : "";
}

struct arming *
arming_new(const struct config *config, struct inventory *inventory)
{
	struct arming *arming = xcalloc(1, sizeof(*arming));

	*arming = (struct arming){
		.config = config,
		.inventory = inventory,
		.lockspace_why = xstrdup(UNSEEN),
		.look_why = xstrdup(""),
		.why = xstrdup(UNSEEN),
	};
	add_reason(arming, UNSEEN);
	if (config->ha_unsafe)
		log_warning("ha", "%s", UNSAFE);
	return arming;
}

void
arming_free(struct arming *arming)
{
	clear_reasons(arming);
	model_clear(&watchdog_result_model, &arming->found);
	free(arming->lockspace_why);
	free(arming->look_why);
	free(arming->why);
	free(arming);
}
