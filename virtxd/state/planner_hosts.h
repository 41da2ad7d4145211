/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hosts as the planner counts them: figures, and which labels their VMs bear. */
#ifndef STATE_PLANNER_HOSTS_H
#define STATE_PLANNER_HOSTS_H

#include <uthash.h>

#include "proto/model.h"
#include "proto/uuid.h"
#include "state/figures.h"

struct placement_host {
	char uuid[UUID_TEXT_SIZE];
	char *name;
	char *arch; /* "" where it is not known */
	enum cstate cstate;
	bool maintenance;
	bool out;  /* it was put out of the cluster */
	bool told; /* it has told of itself */
	int64_t cpus;
	struct host_figures figures;
};

/* VMs with the same value of "apart" or "group", by host. */
struct placement_label {
	UT_hash_handle hh;
	char *key; /* "apart=db" */
	struct placement_bearers {
		size_t host; /* index */
		int64_t vms;
		char *vm; /* the name of one */
	} * bearers;
	size_t n_bearers;
};

struct planner {
	char self[UUID_TEXT_SIZE];
	struct placement_host *hosts; /* by name, then uuid */
	size_t n_hosts;
	struct placement_label *labels;
	int64_t memory_total, hp_total; /* of this host */
};

/* For placement.c. */

/* NULL where it is not known. */
struct placement_host *placement_find_host(const struct planner *planner, const char *uuid);
/* Counts the VM (sign 1) on the host, or no more (sign -1). */
void placement_count(
    struct planner *planner, struct placement_host *host, const struct vmdef *def, int sign);
/* The VMs on the host with a value of the field (one of the two names) that def has, too; one of
 * them in *ret_vm, the value in *ret_value, both borrowed. 0 for none. */
int64_t placement_bearers(const struct planner *planner, const struct placement_host *host,
    const struct vmdef *def, const char *field, const char **ret_vm, const char **ret_value);

#endif
