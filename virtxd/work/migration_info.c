/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far a migration is, and what can be done about it meanwhile. */
#include <libvirt/virterror.h>

#include "work/hypervisor.h"
#include "work/works.h"

#define MIB (1 << 20)

/* libvirt's statistics of a job. */
struct stats {
	virTypedParameterPtr params;
	int n;
	int type;
};

static int64_t
get(const struct stats *stats, const char *name)
{
	unsigned long long large;
	int small;

	if (virTypedParamsGetULLong(stats->params, stats->n, name, &large) == 1)
		return (int64_t)large;
	if (virTypedParamsGetInt(stats->params, stats->n, name, &small) == 1)
		return small;
	return 0;
}

static void
fill_progress(const struct stats *stats, struct transfer_progress *ret)
{
	int64_t page = get(stats, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);

	ret->total = get(stats, VIR_DOMAIN_JOB_DATA_TOTAL) / MIB;
	ret->transferred = get(stats, VIR_DOMAIN_JOB_DATA_PROCESSED) / MIB;
	ret->remaining = get(stats, VIR_DOMAIN_JOB_DATA_REMAINING) / MIB;
	ret->rate = (float)get(stats, VIR_DOMAIN_JOB_MEMORY_BPS) / MIB;
	ret->dirty_rate =
	    (float)(get(stats, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) * (page ? page : 4096)) / MIB;
	ret->iteration = (int32_t)get(stats, VIR_DOMAIN_JOB_MEMORY_ITERATION);
	if (stats->type == VIR_DOMAIN_JOB_COMPLETED)
		ret->downtime = (int32_t)get(stats, VIR_DOMAIN_JOB_DOWNTIME);
	else
		ret->expected_downtime = (int32_t)get(stats, VIR_DOMAIN_JOB_DOWNTIME);
}

static int
read_stats(virDomainPtr domain, unsigned int flags, struct stats *stats)
{
	virTypedParamsFree(stats->params, stats->n);
	*stats = (struct stats){ 0 };
	return virDomainGetJobStats(domain, &stats->type, &stats->params, &stats->n, flags);
}

/* The last migration, as the VM's own record has it. */
static enum migration_state
recorded_state(const struct oplog_list *oplog)
{
	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		if (!str_equal(item->op, "VmMigrate"))
			continue;
		if (str_equal(item->status, "started"))
			return MIGRATION_STATE_SETUP;
		return str_equal(item->status, "completed") ? MIGRATION_STATE_COMPLETED
							    : MIGRATION_STATE_FAILED;
	}
	return MIGRATION_STATE_NONE;
}

int
work_migration_info(const void *request, void *result, struct error *err)
{
	const struct vm_request *req = request;
	struct migration_info *info = result;
	_connect_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info known = { 0 };
	struct stats stats = { 0 };

	if (hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    hypervisor_find(conn, req->uuid, &domain, err) < 0 ||
	    hypervisor_info(domain, req->env.root, &known, err) < 0)
		return -1;
	info->state = recorded_state(&known.oplog);
	if (read_stats(domain, 0, &stats) == 0 && stats.type != VIR_DOMAIN_JOB_NONE) {
		if (get(&stats, VIR_DOMAIN_JOB_OPERATION) ==
		    VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT) {
			info->state = MIGRATION_STATE_ACTIVE;
			fill_progress(&stats, &info->progress);
		}
	} else if (info->state == MIGRATION_STATE_COMPLETED &&
		   read_stats(domain,
		       VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED,
		       &stats) == 0 &&
		   stats.type != VIR_DOMAIN_JOB_NONE) {
		fill_progress(&stats, &info->progress);
	}
	virTypedParamsFree(stats.params, stats.n);
	return 0;
}

static int
start_post_copy(virDomainPtr domain)
{
	return virDomainMigrateStartPostCopy(domain, 0);
}

static const struct control {
	int (*act)(virDomainPtr domain);
	const char *verb;
} controls[] = {
	[MIGRATION_TIMEOUT_ABORT] = { virDomainAbortJob, "abort the migration of" },
	[MIGRATION_TIMEOUT_PAUSE] = { virDomainSuspend, "pause" },
	[MIGRATION_TIMEOUT_POST_COPY] = { start_post_copy, "change to post-copy for" },
};

int
work_migration_control(const void *request, void *result, struct error *err)
{
	const struct control *control;
	const struct migration_control_request *req = request;
	_connect_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	struct stats stats = { 0 };
	bool migrates;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	if (hypervisor_look_up(conn, req->uuid, &domain, err) < 0)
		return -1;
	if (!domain)
		return error_set(
		    err, 424, "VM '%s' does not migrate: it has left this host", req->uuid);
	migrates = read_stats(domain, 0, &stats) == 0 &&
		   get(&stats, VIR_DOMAIN_JOB_OPERATION) == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
	virTypedParamsFree(stats.params, stats.n);
	if (!migrates)
		return error_set(err, 424, "VM '%s' does not migrate", req->uuid);
	control = &controls[req->action];
	if (control->act(domain) < 0)
		return hypervisor_error(err, 424, "cannot %s VM '%s'", control->verb, req->uuid);
	return 0;
}
