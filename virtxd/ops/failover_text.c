/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of a host that may be dead; no VM is named, as not everybody may know of each. */
#include <string.h>
#include <time.h>

#include "ops/failover.h"
#include "ops/failover_view.h"
#include "state/placement.h"

static void
add_time(struct buffer *out, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buffer_printf(out, "%s", text);
}

/* For how many of its VMs no host has room, if all are brought back. */
static size_t
count_homeless(const struct inventory *inventory, const struct failover_view *view)
{
	struct planner *planner = planner_new(inventory);
	size_t n = 0;

	for (size_t i = 0; i < view->found->n_vms; i++) {
		const struct placement_need need = { .vm = view->found->vms[i].uuid,
			.from = view->host,
			.target = "",
			.def = &view->found->vms[i].def,
			.brief = true };
		struct placement placement = { 0 };
		struct error ignored = { 0 };

		n += planner_place(planner, &need, &placement, &ignored) < 0;
		model_clear(&placement_model, &placement);
	}
	planner_free(planner);
	return n;
}

static void
add_suspected(
    struct buffer *out, const struct inventory *inventory, const struct failover_view *view)
{
	size_t homeless;

	if (!view->found) {
		buffer_printf(out, "; which of its VMs are brought back is not known yet");
	} else if (view->found->n_vms == 0) {
		buffer_printf(out, "; none of its VMs is to be brought back");
	} else {
		buffer_printf(out, "; its %zu VM%s from ", view->found->n_vms,
		    view->found->n_vms == 1 ? " restarts" : "s restart");
		add_time(out, view->since + view->wait_ms);
		buffer_printf(out, " on, if it is dead");
		homeless = count_homeless(inventory, view);
		if (homeless > 0)
			buffer_printf(out, "; %zu cannot: no host has room", homeless);
	}
	if (!str_empty(view->why))
		buffer_printf(out, "; not yet: %s", view->why);
}

static void
count(void *arg, const struct failover_vm_view *vm)
{
	size_t *counts = arg;

	counts[vm->result]++;
}

static void
add_restarting(struct buffer *out, const struct failover_view *view)
{
	size_t counts[FAILOVER_RESULT_N] = { 0 };
	const char *between = "; its VMs: ";

	failover_vms_each(view->vms, count, counts);
	for (unsigned int i = 0; i < FAILOVER_RESULT_N; i++) {
		if (counts[i] == 0)
			continue;
		buffer_printf(
		    out, "%s%zu %s", between, counts[i], enum_word(&failover_result_enum, i));
		between = ", ";
	}
	if (!str_empty(view->why))
		buffer_printf(out, "; nothing more is claimed now: %s", view->why);
}

char *
failover_text(const struct failover *failover, const char *host)
{
	struct failover_view view;
	struct buffer out = { 0 };

	if (!failover || !failover_get(failover, host, &view))
		return xstrdup("");
	buffer_printf(&out, "no word since ");
	add_time(&out, view.since);
	buffer_printf(&out, " (serf says %s, sanlock %s)", enum_word(&cstate_enum, view.cstate),
	    enum_word(&failover_sight_enum, view.sight));
	if (view.vms)
		add_restarting(&out, &view);
	else
		add_suspected(&out, view.inventory, &view);
	return buffer_steal(&out, NULL);
}
