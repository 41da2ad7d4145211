/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From raw counters to the figures of the API: rates, utilisation, and what is left for VMs. */
#ifndef STATE_ACCOUNTING_H
#define STATE_ACCOUNTING_H

#include "state/report.h"

/* Counters as they were at the last report. */
struct accounting_vm {
	int64_t at; /* monotonic ms, 0: none yet */
	int64_t cpu_ns, rx_bytes, tx_bytes;
	int64_t rss; /* KiB */
};

struct accounting_host {
	int64_t at; /* monotonic ms, 0: none yet */
	int64_t cpu_ns;
	int32_t mhz;
	int32_t load_factor;
};

/* What all VMs of the host take together; start from zero and add each. */
struct accounting_sum {
	int64_t memory_reserved, memory_used; /* MiB on normal pages; used is QEMU's RSS */
	int64_t hp_reserved, hp_used;	      /* MiB on hugepages; used by those that run */
	int64_t vcpus;
	int64_t cpu; /* per cent, 100 is one CPU */
};

/* Updates stats from the report and the last counters. now is monotonic ms; mhz of one CPU, 0
 * unknown. Counters may wrap or start anew. */
void accounting_vm_update(struct accounting_vm *last, const struct vm_report *report, int64_t now,
    int32_t mhz, struct vmstats *stats);
/* The VM is off: what it used is nothing. */
void accounting_vm_stop(struct accounting_vm *last, struct vmstats *stats);
void accounting_sum_add(
    struct accounting_sum *sum, const struct accounting_vm *last, const struct vm *vm);
/* The host's resources as spec'd: total, free and used from the report, the rest from the sum of
 * its VMs. */
void accounting_host_update(struct accounting_host *last, const struct host_report *report,
    int64_t now, const struct hostdef *def, const struct accounting_sum *sum,
    struct hostresources *ret);

/* VMs have come or gone since: what they reserve, and what is left beside it, follows. */
void accounting_host_recount(const struct accounting_sum *sum, struct hostresources *ret);

#endif
