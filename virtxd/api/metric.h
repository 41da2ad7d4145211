/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The families of GET /metrics as a table, and how their samples are written. */
#ifndef API_METRIC_H
#define API_METRIC_H

#include "proto/util.h"

enum metric_id {
	METRIC_BUILD_INFO,
	METRIC_UP,
	METRIC_WATCHDOG,
	METRIC_HA_ENABLED,
	METRIC_HA_ARMED,
	METRIC_FAILOVERS,
	METRIC_FAILOVER_SECONDS,
	METRIC_HA_LOSS_POSSIBLE,
	METRIC_HA_STRANDED,
	METRIC_TOKENS_KNOWN,
	METRIC_HOSTS,
	METRIC_HOSTS_MAINTENANCE,
	METRIC_VMS,
	METRIC_VMS_UNPROTECTED,
	METRIC_HOST_CPUS,
	METRIC_HOST_CPU_SECONDS,
	METRIC_HOST_VCPUS,
	METRIC_HOST_MEMORY_SIZE,
	METRIC_HOST_MEMORY_FREE,
	METRIC_HOST_MEMORY_VMS,
	METRIC_HOST_MEMORY_RESERVED,
	METRIC_HOST_MEMORY_AVAILABLE,
	METRIC_STORAGE_SIZE,
	METRIC_STORAGE_FREE,
	METRIC_OPERATIONS,
	METRIC_OPERATIONS_STARTED,
	METRIC_OPERATIONS_ENDED,
	METRIC_OPERATION_DURATION,
	METRIC_JOBS,
	METRIC_JOBS_STARTED,
	METRIC_JOBS_FAILED,
	METRIC_JOBS_KILLED,
	METRIC_SERF_MEMBERS,
	METRIC_GOSSIP_SENT,
	METRIC_GOSSIP_RECEIVED,
	METRIC_GOSSIP_DROPPED,
	METRIC_GOSSIP_WAITING,
	METRIC_GOSSIP_PULLS,
	METRIC_GOSSIP_PULLS_FAILED,
	METRIC_HTTP_REQUESTS,
	METRIC_HTTP_CONNECTIONS,
	METRIC_HTTP_CONNECTIONS_REFUSED,
	METRIC_HTTP_UNAUTHORIZED,
	METRIC_HTTP_EXPOSED,
	METRIC_TLS_HANDSHAKES_FAILED,
	METRIC_TLS_CERTIFICATE_END,
	METRIC_EVENT_STREAMS,
	METRIC_PEER_CALLS,
	METRIC_PEER_CONNECTIONS,
	METRIC_PEER_REQUESTS,
	METRIC_PEER_FAILURES,
	METRIC_LOOP_LAG,
	METRIC_LOOP_LAG_MAX,
	/* Of each VM of this host, where they are asked for. */
	METRIC_VM_INFO,
	METRIC_VM_RUNSTATE,
	METRIC_VM_VCPUS,
	METRIC_VM_CPU_SECONDS,
	METRIC_VM_MEMORY_SIZE,
	METRIC_VM_MEMORY_USED,
	METRIC_VM_DISK_CAPACITY,
	METRIC_VM_DISK_ALLOCATION,
	METRIC_VM_DISK_PHYSICAL,
	METRIC_VM_NETWORK_RECEIVED,
	METRIC_VM_NETWORK_SENT,
	METRIC_N,
};

struct metric {
	const char *name;
	const char *type; /* "counter", "gauge" or "histogram" */
	const char *help;
};
extern const struct metric metrics[METRIC_N]; /* indexed by metric_id */

struct metric_label {
	const char *name;
	const char *value; /* any text */
};

/* A histogram as it is counted: bounds in milliseconds, in rising order; what is above all of them
 * counts in total alone. */
struct metric_histogram {
	const unsigned int *bounds;
	const uint64_t *counts; /* not cumulated, one for each bound */
	size_t n;
	uint64_t total;
	uint64_t sum_us;
};

/* What all samples of a family come after. */
void metric_family(struct buffer *out, enum metric_id id);
/* One sample. A value that is a whole number below 2^53 is written as that. */
void metric_sample(struct buffer *out, enum metric_id id, const struct metric_label *labels,
    size_t n_labels, double value);
/* A sample with one label, */
void metric_labelled(
    struct buffer *out, enum metric_id id, const char *label, const char *word, double value);
/* and a family that has one sample without labels. */
void metric_single(struct buffer *out, enum metric_id id, double value);
/* The samples of a histogram. */
void metric_histogram(struct buffer *out, enum metric_id id, const struct metric_label *labels,
    size_t n_labels, const struct metric_histogram *histogram);

#endif
