/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <stdio.h>
#include <string.h>

#include "domain/domain_xml.h"
#include "virt/runstate.h"
#include "work/host_facts.h"
#include "work/hypervisor.h"

#define _stats_ __attribute__((cleanup(free_stats)))

static void
free_stats(virDomainStatsRecordPtr **stats)
{
	if (*stats)
		virDomainStatsRecordListFree(*stats);
}

/* Unsigned long long, int or unsigned: libvirt mixes them. */
static int64_t
number(virTypedParameterPtr params, int n, const char *name)
{
	unsigned long long value = 0;
	int small;

	if (virTypedParamsGetULLong(params, n, name, &value) == 1)
		return (int64_t)value;
	return virTypedParamsGetInt(params, n, name, &small) == 1 ? small : 0;
}

/* The sum of "net.0.rx.bytes", "net.1.rx.bytes", ... */
static int64_t
net_bytes(virTypedParameterPtr params, int n, const char *direction)
{
	int64_t sum = 0;

	for (int i = 0; i < n; i++) {
		const char *name = params[i].field;
		size_t len = strlen(name), tail = strlen(direction);

		if (strncmp(name, "net.", 4) == 0 && len > tail &&
		    strcmp(name + len - tail, direction) == 0)
			sum += number(&params[i], 1, name);
	}
	return sum;
}

static struct vm_report *
find_report(struct collect_result *res, virDomainPtr domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virDomainGetUUIDString(domain, uuid) < 0)
		return NULL;
	for (size_t i = 0; i < res->n_vms; i++) {
		if (str_equal(res->vms[i].uuid, uuid))
			return &res->vms[i];
	}
	return NULL;
}

static bool
is_known(const struct collect_request *req, const char *uuid)
{
	for (size_t i = 0; i < req->n_known; i++) {
		if (str_equal(req->known[i].uuid, uuid))
			return true;
	}
	return false;
}

static void
read_state(
    const struct collect_request *req, virTypedParameterPtr params, int n, struct vm_report *report)
{
	const int state = (int)number(params, n, "state.state");
	const int reason = (int)number(params, n, "state.reason");

	report->reason = xstrdup(runstate_reason(state, reason));
	/* To ask what it is may take long: of a VM that is known the events have told that. */
	if (!hypervisor_may_be_restored(state, reason) || !is_known(req, report->uuid))
		report->runstate = runstate_from_state(state, reason);
}

/* State of the domains that have a definition (which), or have none: needs no monitor, so that no
 * hung QEMU holds it up. */
static int
collect_states(virConnectPtr conn, const struct collect_request *req, unsigned int which,
    struct collect_result *res, struct error *err)
{
	_stats_ virDomainStatsRecordPtr *stats = NULL;
	int n = virConnectGetAllDomainStats(
	    conn, VIR_DOMAIN_STATS_STATE, &stats, which | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

	if (n < 0)
		return hypervisor_error(err, 424, "cannot list the VMs");
	for (int i = 0; i < n; i++) {
		struct vm_report *report;
		char uuid[VIR_UUID_STRING_BUFLEN] = "";

		if (which == VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT &&
		    !hypervisor_counts(stats[i]->dom, req->env.root))
			continue;
		virDomainGetUUIDString(stats[i]->dom, uuid);
		report = model_append(&res->vms, &res->n_vms);
		report->uuid = xstrdup(uuid);
		read_state(req, stats[i]->params, stats[i]->nparams, report);
	}
	return 0;
}

static void
read_blocks(virTypedParameterPtr params, int n, struct vm_report *report)
{
	int64_t count = number(params, n, "block.count");

	for (int64_t i = 0; i < count && i < 64; i++) {
		char capacity[48], allocation[48], physical[48];
		struct disk_report *disk = model_append(&report->disks, &report->n_disks);

		snprintf(capacity, sizeof(capacity), "block.%d.capacity", (int)i);
		snprintf(allocation, sizeof(allocation), "block.%d.allocation", (int)i);
		snprintf(physical, sizeof(physical), "block.%d.physical", (int)i);
		disk->index = -1;
		disk->capacity = number(params, n, capacity);
		disk->allocation = number(params, n, allocation);
		disk->physical = number(params, n, physical);
	}
}

/* Figures of those that are on; for the others libvirtd would open the images, on storage that may
 * hang. */
static int
collect_figures(virConnectPtr conn, struct collect_result *res, struct error *err)
{
	_stats_ virDomainStatsRecordPtr *stats = NULL;
	int n = virConnectGetAllDomainStats(conn,
	    VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON |
		VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK,
	    &stats,
	    VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

	if (n < 0)
		return hypervisor_error(err, 424, "cannot collect the VMs' figures");
	for (int i = 0; i < n; i++) {
		struct vm_report *report = find_report(res, stats[i]->dom);
		virTypedParameterPtr params = stats[i]->params;
		int n_params = stats[i]->nparams;

		/* A VM that was busy tells no resident size: keep the figures of the last time. */
		if (!report || number(params, n_params, "balloon.rss") == 0)
			continue;
		report->has_stats = true;
		report->cpu_ns = number(params, n_params, "cpu.time");
		report->memory_rss = number(params, n_params, "balloon.rss");
		report->memory_total = number(params, n_params, "balloon.maximum");
		report->rx_bytes = net_bytes(params, n_params, ".rx.bytes");
		report->tx_bytes = net_bytes(params, n_params, ".tx.bytes");
		read_blocks(params, n_params, report);
	}
	return 0;
}

/* Definitions that virtxd has not, or not any more. A VM that went meanwhile, or cannot be read,
 * stays without. */
static void
collect_definitions(
    virConnectPtr conn, const struct collect_request *req, struct collect_result *res)
{
	for (size_t i = 0; i < res->n_vms; i++) {
		struct vm_report *report = &res->vms[i], full = { 0 };
		_domain_ virDomainPtr domain = NULL;
		struct error err = { 0 };

		if (is_known(req, report->uuid) ||
		    hypervisor_find(conn, report->uuid, &domain, &err) < 0 ||
		    hypervisor_report(domain, req->env.root, &full, &err) < 0)
			continue;
		report->has_def = true;
		report->runstate = full.runstate;
		free(report->reason);
		report->reason = steal_ptr(full.reason);
		report->def = full.def;
		report->oplog = full.oplog;
		report->foreign = full.foreign;
		report->leased = full.leased;
		report->foreign_why = steal_ptr(full.foreign_why);
		report->cloud_init = steal_ptr(full.cloud_init);
		report->want = full.want;
		report->excused = full.excused;
		report->recorded = full.recorded;
		free(full.uuid);
	}
}

int
work_collect(const void *request, void *result, struct error *err)
{
	const struct collect_request *req = request;
	struct collect_result *res = result;
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) < 0 ||
	    host_facts_read(conn, req->host, &res->host, err) < 0 ||
	    collect_states(conn, req, VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT, res, err) < 0 ||
	    collect_states(conn, req, VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT, res, err) < 0 ||
	    collect_figures(conn, res, err) < 0)
		return -1;
	collect_definitions(conn, req, res);
	return 0;
}
