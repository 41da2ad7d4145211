/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What jobs report of the host and its VMs: raw figures, from which the inventory makes the API's
 * models. */
#ifndef STATE_REPORT_H
#define STATE_REPORT_H

#include "proto/model.h"

/* One disk's size. */
struct disk_report {
	int32_t index; /* number in the Vmdef, 0 is the osdisk */
	enum disk_prov_mode prov;
	int64_t capacity;   /* bytes */
	int64_t allocation; /* bytes */
	int64_t physical;   /* bytes */
};
extern const struct model disk_report_model;

struct vm_report {
	char *uuid;
	enum vmrunstate runstate;
	char *reason; /* what libvirt tells of it, "" for nothing */
	bool has_def; /* def, and all down to recorded, were read */
	struct vmdef def;
	struct oplog_list oplog;
	bool foreign; /* not made by VirtX */
	bool leased;  /* it has a lease of its own */
	char *foreign_why;
	char *cloud_init; /* path of the CD that it was booted with, "" for none */
	enum want want;
	bool excused;	/* it is off, and was not asked to be: see domain/metadata.h */
	bool recorded;	/* where that is written down: VirtX has it in its libvirt for good */
	bool has_stats; /* the figures below were read; counters are since the start of the VM */
	int64_t cpu_ns; /* ns */
	int64_t memory_rss;	   /* KiB */
	int64_t memory_total;	   /* KiB */
	int64_t rx_bytes;	   /* bytes */
	int64_t tx_bytes;	   /* bytes */
	struct disk_report *disks; /* those that were looked at */
	size_t n_disks;
};
extern const struct model vm_report_model;

struct host_report {
	char *uuid;
	bool has_def;
	struct hostdef def;
	int32_t mhz;	      /* MHz of one CPU */
	int32_t load_factor;  /* per cent of a CPU that a vCPU is expected to use */
	int64_t memory_total; /* KiB, hugepages included */
	int64_t memory_free;  /* KiB */
	int64_t hp_total;     /* KiB */
	int64_t hp_free;      /* KiB */
	int64_t cpu_ns;	      /* ns of user, kernel and iowait since boot, summed over CPUs */
	struct host_problem *problems;
	size_t n_problems;
};
extern const struct model host_report_model;

#endif
