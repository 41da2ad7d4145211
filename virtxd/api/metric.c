/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/metric.h"

#include <inttypes.h>
#include <string.h>

#define EXACT 9007199254740992.0 /* whole numbers below this are doubles */

const struct metric metrics[METRIC_N] = {
	[METRIC_BUILD_INFO] = { "virtx_build_info", "gauge",
	    "Always 1; the labels say what runs." },
	[METRIC_UP] = { "virtx_up", "gauge", "Whether a part is joined: 1, or 0." },
	[METRIC_WATCHDOG] = { "virtx_watchdog", "gauge",
	    "Whether a watchdog protects this host: 1, or 0." },
	[METRIC_HA_ENABLED] = { "virtx_ha_enabled", "gauge",
	    "Whether this host brings VMs of dead hosts back: 1, or 0." },
	[METRIC_HA_ARMED] = { "virtx_ha_armed", "gauge",
	    "Whether others may take over from this host, and it from them: 1, or 0." },
	[METRIC_FAILOVERS] = { "virtx_failovers_total", "counter",
	    "VMs of dead hosts that this host has seen to, by result." },
	[METRIC_FAILOVER_SECONDS] = { "virtx_failover_seconds_total", "counter",
	    "From when their hosts were suspected until VMs ran here, summed." },
	[METRIC_HA_LOSS_POSSIBLE] = { "virtx_ha_hosts_losable", "gauge",
	    "Whether the VMs of any one host would start elsewhere if it died: 1, or 0." },
	[METRIC_HA_STRANDED] = { "virtx_ha_vms_stranded", "gauge",
	    "VMs that would not start anywhere if their host died, of all hosts." },
	[METRIC_TOKENS_KNOWN] = { "virtx_tokens_known", "gauge",
	    "Whether this host knows all tokens as they are on the storage: 1, or 0." },
	[METRIC_HOSTS] = { "virtx_hosts", "gauge",
	    "Hosts of the cluster by the state that serf sees." },
	[METRIC_HOSTS_MAINTENANCE] = { "virtx_hosts_maintenance", "gauge",
	    "Hosts that are in maintenance." },
	[METRIC_VMS] = { "virtx_vms", "gauge",
	    "VMs by run state, none where their host has failed: those of this host, and all that "
	    "it knows." },
	[METRIC_VMS_UNPROTECTED] = { "virtx_vms_unprotected", "gauge",
	    "VMs that run on this host while sanlock does not keep their leases." },
	[METRIC_HOST_CPUS] = { "virtx_host_cpus", "gauge", "CPUs of this host." },
	[METRIC_HOST_CPU_SECONDS] = { "virtx_host_cpu_seconds_total", "counter",
	    "Time that the CPUs of this host were busy, or waited for disks." },
	[METRIC_HOST_VCPUS] = { "virtx_host_vcpus", "gauge",
	    "vCPUs of the VMs of this host, on or off." },
	[METRIC_HOST_MEMORY_SIZE] = { "virtx_host_memory_size_bytes", "gauge",
	    "Memory of this host: normal pages, and those set aside as huge ones." },
	[METRIC_HOST_MEMORY_FREE] = { "virtx_host_memory_free_bytes", "gauge",
	    "What of it is free." },
	[METRIC_HOST_MEMORY_VMS] = { "virtx_host_memory_vms_bytes", "gauge",
	    "What of it the processes of VMs occupy." },
	[METRIC_HOST_MEMORY_RESERVED] = { "virtx_host_memory_reserved_bytes", "gauge",
	    "What of it the definitions of VMs ask for, on or off." },
	[METRIC_HOST_MEMORY_AVAILABLE] = { "virtx_host_memory_available_bytes", "gauge",
	    "What of it is left for further VMs; below 0 where more is promised than there is." },
	[METRIC_STORAGE_SIZE] = { "virtx_storage_size_bytes", "gauge",
	    "Size of the file system that a folder of the shared storage is on." },
	[METRIC_STORAGE_FREE] = { "virtx_storage_free_bytes", "gauge",
	    "What of it is left to be written." },
	[METRIC_OPERATIONS] = { "virtx_operations", "gauge",
	    "Operations of this host that are kept, by state." },
	[METRIC_OPERATIONS_STARTED] = { "virtx_operations_started_total", "counter",
	    "Operations that were begun on this host, by kind." },
	[METRIC_OPERATIONS_ENDED] = { "virtx_operations_ended_total", "counter",
	    "Operations that have ended on this host, by kind and result." },
	[METRIC_OPERATION_DURATION] = { "virtx_operation_duration_seconds", "histogram",
	    "How long they took, by kind and result." },
	[METRIC_JOBS] = { "virtx_jobs", "gauge",
	    "Jobs: children, or waiting to be; stuck ones outlived KILL." },
	[METRIC_JOBS_STARTED] = { "virtx_jobs_started_total", "counter",
	    "Jobs that were started." },
	[METRIC_JOBS_FAILED] = { "virtx_jobs_failed_total", "counter", "Jobs that failed." },
	[METRIC_JOBS_KILLED] = { "virtx_jobs_killed_total", "counter",
	    "Jobs that ran into their deadline." },
	[METRIC_SERF_MEMBERS] = { "virtx_serf_members", "gauge",
	    "Members that serf knows, in any state." },
	[METRIC_GOSSIP_SENT] = { "virtx_gossip_sent_total", "counter",
	    "User events that were sent." },
	[METRIC_GOSSIP_RECEIVED] = { "virtx_gossip_received_total", "counter",
	    "User events that came, own ones among them." },
	[METRIC_GOSSIP_DROPPED] = { "virtx_gossip_dropped_total", "counter",
	    "User events that were not taken." },
	[METRIC_GOSSIP_WAITING] = { "virtx_gossip_waiting", "gauge",
	    "VMs whose change is still to be sent." },
	[METRIC_GOSSIP_PULLS] = { "virtx_gossip_pulls_total", "counter",
	    "Other hosts' lists that were asked for." },
	[METRIC_GOSSIP_PULLS_FAILED] = { "virtx_gossip_pulls_failed_total", "counter",
	    "Those that did not come." },
	[METRIC_HTTP_REQUESTS] = { "virtx_http_requests_total", "counter",
	    "Requests that were answered, by route and class of status." },
	[METRIC_HTTP_CONNECTIONS] = { "virtx_http_connections", "gauge", "Open connections." },
	[METRIC_HTTP_CONNECTIONS_REFUSED] = { "virtx_http_connections_refused_total", "counter",
	    "Connections that were over the bound." },
	[METRIC_HTTP_UNAUTHORIZED] = { "virtx_http_unauthorized_total", "counter",
	    "Requests without a token, with a wrong one, or with one whose role does not do." },
	[METRIC_HTTP_EXPOSED] = { "virtx_http_listeners_exposed", "gauge",
	    "Listeners that are plain beyond loopback, or open to everyone." },
	[METRIC_TLS_HANDSHAKES_FAILED] = { "virtx_tls_handshakes_failed_total", "counter",
	    "Connections that ended before their TLS handshake did." },
	[METRIC_TLS_CERTIFICATE_END] = { "virtx_tls_certificate_end_timestamp_seconds", "gauge",
	    "When the certificate of this host ends, or its CA's before it." },
	[METRIC_EVENT_STREAMS] = { "virtx_event_streams", "gauge", "Readers of GET /events." },
	[METRIC_PEER_CALLS] = { "virtx_peer_calls", "gauge",
	    "Requests to other hosts that are under way." },
	[METRIC_PEER_CONNECTIONS] = { "virtx_peer_connections", "gauge",
	    "Connections to other hosts." },
	[METRIC_PEER_REQUESTS] = { "virtx_peer_requests_total", "counter",
	    "Requests to other hosts." },
	[METRIC_PEER_FAILURES] = { "virtx_peer_failures_total", "counter",
	    "Those that got no answer." },
	[METRIC_LOOP_LAG] = { "virtx_loop_lag_seconds", "histogram",
	    "How late a timer of the main loop runs." },
	[METRIC_LOOP_LAG_MAX] = { "virtx_loop_lag_max_seconds", "gauge",
	    "The latest that it ever was." },
	[METRIC_VM_INFO] = { "virtx_vm_info", "gauge",
	    "Always 1; the labels say what the VM is called." },
	[METRIC_VM_RUNSTATE] = { "virtx_vm_runstate", "gauge",
	    "Always 1; the label says what the VM does." },
	[METRIC_VM_VCPUS] = { "virtx_vm_vcpus", "gauge", "vCPUs of the VM." },
	[METRIC_VM_CPU_SECONDS] = { "virtx_vm_cpu_seconds_total", "counter",
	    "CPU time of the VM since it was started." },
	[METRIC_VM_MEMORY_SIZE] = { "virtx_vm_memory_size_bytes", "gauge", "Memory of the VM." },
	[METRIC_VM_MEMORY_USED] = { "virtx_vm_memory_used_bytes", "gauge",
	    "Memory of the host that its process occupies." },
	[METRIC_VM_DISK_CAPACITY] = { "virtx_vm_disk_capacity_bytes", "gauge",
	    "What its disks offer." },
	[METRIC_VM_DISK_ALLOCATION] = { "virtx_vm_disk_allocation_bytes", "gauge",
	    "What is written on them." },
	[METRIC_VM_DISK_PHYSICAL] = { "virtx_vm_disk_physical_bytes", "gauge",
	    "What they take on the storage." },
	[METRIC_VM_NETWORK_RECEIVED] = { "virtx_vm_network_received_bytes_total", "counter",
	    "What its network devices have received since it was started." },
	[METRIC_VM_NETWORK_SENT] = { "virtx_vm_network_sent_bytes_total", "counter",
	    "What they have sent." },
};

void
metric_family(struct buffer *out, enum metric_id id)
{
	const struct metric *metric = &metrics[id];

	buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
	    metric->type);
}

static void
add_text(struct buffer *out, const char *text)
{
	buffer_add(out, text, strlen(text));
}

static void
add_value(struct buffer *out, const char *value)
{
	while (*value) {
		size_t plain = strcspn(value, "\"\\\n");

		buffer_add(out, value, plain);
		value += plain;
		if (!*value)
			return;
		add_text(out, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
		value++;
	}
}

static void
add_label(struct buffer *out, const char *before, const char *name, const char *value)
{
	add_text(out, before);
	add_text(out, name);
	add_text(out, "=\"");
	add_value(out, str_or_empty(value));
	add_text(out, "\"");
}

/* le is the bound of a bucket, NULL for none. A host may have 20,000 samples of VMs: nothing is
 * formatted that need not be. */
static void
add_name(struct buffer *out, const char *name, const char *suffix,
    const struct metric_label *labels, size_t n_labels, const char *le)
{
	const char *before = "{";

	add_text(out, name);
	add_text(out, suffix);
	for (size_t i = 0; i < n_labels; i++) {
		add_label(out, before, labels[i].name, labels[i].value);
		before = ",";
	}
	if (le)
		add_label(out, before, "le", le);
	add_text(out, n_labels > 0 || le ? "} " : " ");
}

static void
add_number(struct buffer *out, double value)
{
	if (value > -EXACT && value < EXACT && value == (double)(int64_t)value)
		buffer_printf(out, "%" PRId64 "\n", (int64_t)value);
	else
		buffer_printf(out, "%.15g\n", value);
}

void
metric_sample(struct buffer *out, enum metric_id id, const struct metric_label *labels,
    size_t n_labels, double value)
{
	add_name(out, metrics[id].name, "", labels, n_labels, NULL);
	add_number(out, value);
}

void
metric_labelled(
    struct buffer *out, enum metric_id id, const char *label, const char *word, double value)
{
	const struct metric_label labels[] = { { label, word } };

	metric_sample(out, id, labels, 1, value);
}

void
metric_single(struct buffer *out, enum metric_id id, double value)
{
	metric_family(out, id);
	metric_sample(out, id, NULL, 0, value);
}

void
metric_histogram(struct buffer *out, enum metric_id id, const struct metric_label *labels,
    size_t n_labels, const struct metric_histogram *histogram)
{
	const char *name = metrics[id].name;
	uint64_t n = 0;

	for (size_t i = 0; i < histogram->n; i++) {
		_free_ char *le = xasprintf("%g", histogram->bounds[i] / 1000.0);

		n += histogram->counts[i];
		add_name(out, name, "_bucket", labels, n_labels, le);
		buffer_printf(out, "%" PRIu64 "\n", n);
	}
	add_name(out, name, "_bucket", labels, n_labels, "+Inf");
	buffer_printf(out, "%" PRIu64 "\n", histogram->total);
	add_name(out, name, "_sum", labels, n_labels, NULL);
	add_number(out, (double)histogram->sum_us / 1000000.0);
	add_name(out, name, "_count", labels, n_labels, NULL);
	buffer_printf(out, "%" PRIu64 "\n", histogram->total);
}
