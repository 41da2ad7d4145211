/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/placement.h"

#include <string.h>

#include "proto/vmdef.h"
#include "state/planner_hosts.h"

#define NEAR_PERCENT 5	/* so much more memory that is left does not make a host better */
#define REASONS_MAX  10 /* hosts that an error names */

enum obstacle {
	OBSTACLE_NONE,
	OBSTACLE_EXCLUDED,
	OBSTACLE_FROM,
	OBSTACLE_STATE,
	OBSTACLE_OUT,
	OBSTACLE_MAINTENANCE,
	OBSTACLE_SILENT,
	OBSTACLE_ARCH,
	OBSTACLE_MEMORY,
	OBSTACLE_APART,
};

/* A host for this VM, and how it would be with it. */
struct verdict {
	struct placement_host *host;
	enum obstacle obstacle;
	const char *why; /* of an excluded one */
	bool grouped;	 /* it has VMs of the same group */
	bool others;	 /* it has none, and another one has */
	bool near;	 /* its memory is as good as the best's */
	int64_t left;	 /* MiB */
	int64_t vcpus, vms;
};

static int64_t
available(const struct placement_host *host, const struct placement_need *need)
{
	return need->def->memory.hp ? host->figures.hp : host->figures.memory;
}

static const char *
kind(const struct placement_need *need)
{
	return need->def->memory.hp ? "hugepages" : "memory";
}

/* A VM goes on only on CPUs like those that it has. */
static const char *
wanted_arch(const struct planner *planner, const struct placement_need *need)
{
	const struct placement_host *from = placement_find_host(planner, need->from);

	if (!from)
		from = placement_find_host(planner, planner->self);
	return from ? from->arch : "";
}

static const char *
excluded(const struct placement_need *need, const struct placement_host *host)
{
	for (size_t i = 0; i < need->n_excluded; i++) {
		if (str_equal(need->excluded[i].host, host->uuid))
			return need->excluded[i].why;
	}
	return NULL;
}

static enum obstacle
find_obstacle(const struct planner *planner, const struct placement_need *need, const char *arch,
    const struct placement_host *host)
{
	const char *ignored;

	if (str_equal(host->uuid, need->from))
		return OBSTACLE_FROM;
	if (host->cstate != CSTATE_ACTIVE)
		return OBSTACLE_STATE;
	if (host->out)
		return OBSTACLE_OUT;
	if (host->maintenance)
		return OBSTACLE_MAINTENANCE;
	if (!host->told)
		return OBSTACLE_SILENT;
	if (excluded(need, host))
		return OBSTACLE_EXCLUDED;
	if (*arch && *host->arch && strcmp(arch, host->arch) != 0)
		return OBSTACLE_ARCH;
	if (need->def->memory.total > available(host, need))
		return OBSTACLE_MEMORY;
	if (placement_bearers(planner, host, need->def, PLACEMENT_APART, &ignored, &ignored) > 0)
		return OBSTACLE_APART;
	return OBSTACLE_NONE;
}

static struct verdict
judge(const struct planner *planner, const struct placement_need *need, const char *arch,
    struct placement_host *host)
{
	const char *ignored;

	return (struct verdict){
		.host = host,
		.obstacle = find_obstacle(planner, need, arch, host),
		.why = excluded(need, host),
		.grouped = placement_bearers(
			       planner, host, need->def, PLACEMENT_GROUP, &ignored, &ignored) > 0,
		.left = available(host, need) - need->def->memory.total,
		.vcpus = host->figures.vcpus + (int64_t)vmdef_vcpus(need->def),
		.vms = host->figures.vms + 1,
	};
}

static bool
feasible(const struct verdict *v)
{
	return v->obstacle == OBSTACLE_NONE;
}

/* What has to be looked at beside the others: who has VMs of the group, and whose memory is as
 * good as that of the best. */
static void
judge_together(const struct planner *planner, const struct placement_need *need,
    struct verdict *verdicts, size_t n)
{
	int64_t best = -1, band = need->def->memory.hp ? planner->hp_total : planner->memory_total;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= feasible(&verdicts[i]) && verdicts[i].grouped;
	for (size_t i = 0; i < n; i++) {
		struct verdict *v = &verdicts[i];

		v->others = any && !v->grouped;
		if (feasible(v) && !v->others && v->left > best)
			best = v->left;
	}
	/* Of the memory of other hosts only what is left is known. */
	if (best > band)
		band = best;
	for (size_t i = 0; i < n; i++)
		verdicts[i].near = best - verdicts[i].left <= band * NEAR_PERCENT / 100;
}

static int
order(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int64_t
cpus(const struct verdict *v)
{
	return v->host->cpus > 0 ? v->host->cpus : 1;
}

/* The better one first; hosts stand by their names in the planner. */
static int
compare(const void *a, const void *b)
{
	const struct verdict *x = a, *y = b;
	int r = order(feasible(y), feasible(x));

	if (r == 0 && feasible(x)) {
		r = order(x->others, y->others);
		if (r == 0)
			r = order(y->near, x->near);
		if (r == 0 && !x->near)
			r = order(y->left, x->left);
		if (r == 0)
			r = order(x->vcpus * cpus(y), y->vcpus * cpus(x));
		if (r == 0)
			r = order(x->vms, y->vms);
	}
	return r ? r : (x->host > y->host) - (x->host < y->host);
}

static char *
explain_obstacle(
    const struct planner *planner, const struct placement_need *need, const struct verdict *v)
{
	const struct placement_host *host = v->host;
	const char *vm = "", *value = "";

	switch (v->obstacle) {
	case OBSTACLE_FROM:
		return xstrdup("the VM is there");
	case OBSTACLE_STATE:
		return xasprintf("serf says it is %s", enum_word(&cstate_enum, host->cstate));
	case OBSTACLE_OUT:
		return xstrdup("it was put out of the cluster");
	case OBSTACLE_MAINTENANCE:
		return xstrdup("it is in maintenance");
	case OBSTACLE_SILENT:
		return xstrdup("it has not told what it has yet");
	case OBSTACLE_EXCLUDED:
		return xstrdup(v->why);
	case OBSTACLE_ARCH:
		return xasprintf("its CPUs are %s, not %s", host->arch, wanted_arch(planner, need));
	case OBSTACLE_MEMORY:
		return xasprintf("it has %lld MiB of %s for VMs, and %d MiB are needed",
		    (long long)available(host, need), kind(need), need->def->memory.total);
	case OBSTACLE_APART:
		placement_bearers(planner, host, need->def, PLACEMENT_APART, &vm, &value);
		return xasprintf("it has VM '%s' with %s '%s'", vm, PLACEMENT_APART, value);
	case OBSTACLE_NONE:
	default:
		return xstrdup("");
	}
}

static char *
explain_feasible(
    const struct planner *planner, const struct placement_need *need, const struct verdict *v)
{
	const char *vm = "", *value = "";
	struct buffer out = { 0 };

	buffer_printf(&out, "%lld MiB of %s would be left, ", (long long)v->left, kind(need));
	if (v->host->cpus > 0)
		buffer_printf(
		    &out, "%.2f vCPUs for each CPU, ", (double)v->vcpus / (double)v->host->cpus);
	buffer_printf(&out, "%lld VM%s", (long long)v->vms, v->vms == 1 ? "" : "s");
	if (v->grouped) {
		placement_bearers(planner, v->host, need->def, PLACEMENT_GROUP, &vm, &value);
		buffer_printf(&out, ", with VM '%s' of %s '%s'", vm, PLACEMENT_GROUP, value);
	} else if (v->others) {
		buffer_printf(&out, ", but VMs of its %s are on another host", PLACEMENT_GROUP);
	}
	return buffer_steal(&out, NULL);
}

static char *
explain(const struct planner *planner, const struct placement_need *need, const struct verdict *v)
{
	return feasible(v) ? explain_feasible(planner, need, v)
			   : explain_obstacle(planner, need, v);
}

static int32_t
clamp32(int64_t value)
{
	return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

static void
add_candidates(const struct planner *planner, const struct placement_need *need,
    const struct verdict *verdicts, size_t n, struct placement *ret)
{
	ret->candidates = xcalloc(n + 1, sizeof(*ret->candidates));
	for (size_t i = 0; i < n; i++) {
		const struct verdict *v = &verdicts[i];

		ret->candidates[ret->n_candidates++] = (struct placement_candidate){
			.host = xstrdup(v->host->uuid),
			.name = xstrdup(v->host->name),
			.feasible = feasible(v),
			.reason = explain(planner, need, v),
			.memory = clamp32(v->left),
			.cpu = clamp32(v->vcpus * 100 / cpus(v)),
			.vms = clamp32(v->vms),
		};
	}
}

static int
refuse(const struct planner *planner, const struct placement_need *need,
    const struct verdict *verdicts, size_t n, struct placement *ret, struct error *err)
{
	_buffer_ struct buffer why = { 0 };

	for (size_t i = 0; i < n && i < REASONS_MAX; i++) {
		_free_ char *reason = explain(planner, need, &verdicts[i]);

		buffer_printf(&why, "%s%s: %s", i ? "; " : "", verdicts[i].host->name, reason);
	}
	if (n > REASONS_MAX)
		buffer_printf(&why, "; and %zu more hosts", n - REASONS_MAX);
	ret->reason = xasprintf("no host can take VM '%s' with %d MiB of %s: %s",
	    str_or_empty(need->def->name), need->def->memory.total, kind(need),
	    n ? why.data : "none is known");
	return error_set_type(err, ERROR_NO_HOST, "%s", ret->reason);
}

static void
move(struct planner *planner, const struct placement_need *need, struct placement_host *host)
{
	struct placement_host *from =
	    str_empty(need->from) ? NULL : placement_find_host(planner, need->from);

	placement_count(planner, host, need->def, 1);
	if (from)
		placement_count(planner, from, need->def, -1);
}

void
planner_each_feasible(const struct planner *planner, const struct placement_need *need,
    void (*each)(void *arg, const char *host), void *arg)
{
	const char *arch = wanted_arch(planner, need);

	for (size_t i = 0; i < planner->n_hosts; i++) {
		if (find_obstacle(planner, need, arch, &planner->hosts[i]) == OBSTACLE_NONE)
			each(arg, planner->hosts[i].uuid);
	}
}

int
planner_place(struct planner *planner, const struct placement_need *need, struct placement *ret,
    struct error *err)
{
	_free_ struct verdict *verdicts = xcalloc(planner->n_hosts + 1, sizeof(*verdicts));
	const char *arch = wanted_arch(planner, need);
	_free_ char *reason = NULL;
	int r = 0;
	size_t n = 0;

	for (size_t i = 0; i < planner->n_hosts; i++) {
		if (str_empty(need->target) || str_equal(planner->hosts[i].uuid, need->target))
			verdicts[n++] = judge(planner, need, arch, &planner->hosts[i]);
	}
	judge_together(planner, need, verdicts, n);
	qsort(verdicts, n, sizeof(*verdicts), compare);
	ret->vm = xstrdup(need->vm);
	if (!need->brief)
		add_candidates(planner, need, verdicts, n, ret);
	if (n > 0 && feasible(&verdicts[0])) {
		reason = explain(planner, need, &verdicts[0]);
		ret->host = xstrdup(verdicts[0].host->uuid);
		ret->reason = xasprintf("%s: %s", verdicts[0].host->name, reason);
		if (!need->look)
			move(planner, need, verdicts[0].host);
	} else {
		ret->host = xstrdup("");
		r = refuse(planner, need, verdicts, n, ret, err);
	}
	return r;
}
