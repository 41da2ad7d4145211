/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/accounting.h"

#include "proto/vmdef.h"

#define KIB_PER_MIB 1024

static int32_t
clamp32(int64_t value)
{
	return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* Growth of a counter; one that went back has started anew. */
static int64_t
growth(int64_t now, int64_t before)
{
	return now >= before ? now - before : now;
}

static bool
is_on(enum vmrunstate runstate)
{
	return runstate >= VMRUNSTATE_STARTUP && runstate <= VMRUNSTATE_PMSUSPENDED;
}

void
accounting_vm_stop(struct accounting_vm *last, struct vmstats *stats)
{
	*last = (struct accounting_vm){ 0 };
	stats->cpu_utilization = stats->mhz_used = 0;
	stats->memory_used = 0;
	stats->net_rx_bw = stats->net_tx_bw = 0;
}

static void
update_disks(const struct vm_report *report, struct vmstats *stats)
{
	int64_t capacity = 0, allocation = 0, physical = 0;

	if (report->n_disks == 0)
		return;
	for (size_t i = 0; i < report->n_disks; i++) {
		capacity += report->disks[i].capacity;
		allocation += report->disks[i].allocation;
		physical += report->disks[i].physical;
	}
	stats->disk_capacity = capacity >> 20;
	stats->disk_allocation = allocation >> 20;
	stats->disk_physical = physical >> 20;
}

void
accounting_vm_update(struct accounting_vm *last, const struct vm_report *report, int64_t now,
    int32_t mhz, struct vmstats *stats)
{
	int64_t ms = now - last->at;

	update_disks(report, stats);
	if (!report->has_stats)
		return;
	if (last->at && ms > 0) {
		int64_t cpu = growth(report->cpu_ns, last->cpu_ns) / 10000 / ms;

		stats->cpu_utilization = clamp32(cpu);
		stats->mhz_used = clamp32(cpu * mhz / 100);
		stats->net_rx_bw =
		    clamp32(growth(report->rx_bytes, last->rx_bytes) * 1000 / 1024 / ms);
		stats->net_tx_bw =
		    clamp32(growth(report->tx_bytes, last->tx_bytes) * 1000 / 1024 / ms);
	}
	if (report->memory_total)
		stats->memory_capacity = report->memory_total / KIB_PER_MIB;
	stats->memory_used = report->memory_rss / KIB_PER_MIB;
	*last = (struct accounting_vm){
		.at = now,
		.cpu_ns = report->cpu_ns,
		.rx_bytes = report->rx_bytes,
		.tx_bytes = report->tx_bytes,
		.rss = report->memory_rss,
	};
}

void
accounting_sum_add(
    struct accounting_sum *sum, const struct accounting_vm *last, const struct vm *vm)
{
	if (vm->def.memory.hp) {
		sum->hp_reserved += vm->def.memory.total;
		if (is_on(vm->runinfo.runstate))
			sum->hp_used += vm->def.memory.total;
	} else {
		sum->memory_reserved += vm->def.memory.total;
	}
	sum->memory_used += last->rss / KIB_PER_MIB;
	sum->vcpus += vmdef_vcpus(&vm->def);
	sum->cpu += vm->stats.cpu_utilization;
}

/* The columns that follow from the others. */
static struct hostresource
resource(int64_t total, int64_t free_, int64_t used, int64_t reservedvms, int64_t usedvms)
{
	int64_t usedos = used - usedvms;

	return (struct hostresource){
		.total = clamp32(total),
		.used = clamp32(used),
		.free = clamp32(free_),
		.usedos = clamp32(usedos),
		.reservedvms = clamp32(reservedvms),
		.usedvms = clamp32(usedvms),
		.availablevms = clamp32(total - reservedvms - usedos),
	};
}

void
accounting_host_update(struct accounting_host *last, const struct host_report *report, int64_t now,
    const struct hostdef *def, const struct accounting_sum *sum, struct hostresources *ret)
{
	const struct cpudef *cpu = &def->cpudef;
	int64_t cpus = (int64_t)cpu->nodes * cpu->sockets * cpu->cores * cpu->threads;
	int64_t memory_total = (report->memory_total - report->hp_total) / KIB_PER_MIB;
	int64_t memory_free = report->memory_free / KIB_PER_MIB;
	int64_t hp_total = report->hp_total / KIB_PER_MIB, hp_free = report->hp_free / KIB_PER_MIB;
	int64_t cpu_total = cpus * report->mhz, cpu_used = 0;
	int64_t ms = now - last->at;

	if (last->at && ms > 0)
		cpu_used = growth(report->cpu_ns, last->cpu_ns) / 1000 * report->mhz / 1000 / ms;
	ret->memory = resource(memory_total, memory_free, memory_total - memory_free,
	    sum->memory_reserved, sum->memory_used);
	ret->hp = resource(hp_total, hp_free, hp_total - hp_free, sum->hp_reserved, sum->hp_used);
	ret->cpu = resource(cpu_total, cpu_total - cpu_used, cpu_used,
	    sum->vcpus * report->mhz / 100 * report->load_factor, sum->cpu * report->mhz / 100);
	*last = (struct accounting_host){
		.at = now,
		.cpu_ns = report->cpu_ns,
		.mhz = report->mhz,
		.load_factor = report->load_factor,
	};
}

static void
recount(struct hostresource *resource, int64_t reservedvms)
{
	resource->reservedvms = clamp32(reservedvms);
	resource->availablevms = clamp32((int64_t)resource->total - reservedvms - resource->usedos);
}

void
accounting_host_recount(const struct accounting_sum *sum, struct hostresources *ret)
{
	recount(&ret->memory, sum->memory_reserved);
	recount(&ret->hp, sum->hp_reserved);
}
