/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libvirt for test/bench/sim: the library is put in the place of the real one, and virtxd and its
 * jobs run unchanged. The URI sim:///DIR names a host, whose VMs are the simulator's to change:
 *   DIR/host    text: number of the host, number of its VMs
 *   DIR/states  for each VM a byte, its virDomainState
 *   DIR/events  a FIFO of struct record, each a lifecycle event
 * A VM is running, paused or off.
 */
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT	  __attribute__((visibility("default")))
#define VMS_MAX	  10000
#define MIB	  1024ULL /* KiB */
#define HOST_UUID "00000000-0000-4000-8000-%012x"
#define VM_UUID	  "%08x-0000-4000-9000-%012x"
#define STATS_N	  10

struct record {
	uint32_t vm;
	int16_t event;
	int16_t detail;
};

struct _virConnect {
	int refs;
	char *dir;
	unsigned int host;
	unsigned int n_vms;
	int events; /* -1 until somebody listens */
	int watch;
	virConnectDomainEventCallback callback; /* for lifecycles */
	void *opaque;
};

struct _virDomain {
	virConnectPtr conn;
	unsigned int vm;
	char name[32];
};

static struct {
	virEventAddHandleFunc add_handle;
	virEventRemoveHandleFunc remove_handle;
	int code;
	char text[256];
} lib;

static int
fail(int code, const char *what, const char *on)
{
	lib.code = code;
	snprintf(lib.text, sizeof(lib.text), "stand-in: %s '%s'", what, on);
	return -1;
}

EXPORT int
virGetLastErrorCode(void)
{
	return lib.code;
}

EXPORT const char *
virGetLastErrorMessage(void)
{
	return lib.text;
}

EXPORT virErrorPtr
virGetLastError(void)
{
	static virError error;

	error.code = lib.code;
	error.message = lib.text;
	return lib.code ? &error : NULL;
}

EXPORT void
virSetErrorFunc(void *arg, virErrorFunc handler)
{
}

EXPORT void
virEventRegisterImpl(virEventAddHandleFunc add_handle, virEventUpdateHandleFunc update_handle,
    virEventRemoveHandleFunc remove_handle, virEventAddTimeoutFunc add_timeout,
    virEventUpdateTimeoutFunc update_timeout, virEventRemoveTimeoutFunc remove_timeout)
{
	lib.add_handle = add_handle;
	lib.remove_handle = remove_handle;
}

/* The connection */

static char *
path_in(virConnectPtr conn, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", conn->dir, name) < 0)
		abort();
	return path;
}

EXPORT int
virConnectClose(virConnectPtr conn)
{
	if (conn->refs-- > 1)
		return 1;
	if (conn->events >= 0)
		close(conn->events);
	free(conn->dir);
	free(conn);
	return 0;
}

EXPORT int
virConnectRef(virConnectPtr conn)
{
	conn->refs++;
	return 0;
}

EXPORT int
virConnectGetLibVersion(virConnectPtr conn, unsigned long *version)
{
	*version = LIBVIR_VERSION_NUMBER;
	return 0;
}

EXPORT virConnectPtr
virConnectOpen(const char *uri)
{
	static const char scheme[] = "sim://";
	virConnectPtr conn = calloc(1, sizeof(*conn));
	char *path;
	FILE *file;
	int n = 0;

	if (!conn)
		abort();
	conn->refs = 1;
	conn->events = -1;
	conn->dir = strdup(strncmp(uri, scheme, strlen(scheme)) ? "" : uri + strlen(scheme));
	path = path_in(conn, "host");
	file = fopen(path, "re");
	free(path);
	if (file) {
		n = fscanf(file, "%u %u", &conn->host, &conn->n_vms);
		fclose(file);
	}
	if (n == 2 && conn->n_vms <= VMS_MAX)
		return conn;
	fail(VIR_ERR_NO_CONNECT, "no such host", uri);
	virConnectClose(conn);
	return NULL;
}

EXPORT int
virConnectIsAlive(virConnectPtr conn)
{
	return 1;
}

EXPORT int
virConnectSetKeepAlive(virConnectPtr conn, int interval, unsigned int count)
{
	return 0;
}

EXPORT int
virConnectRegisterCloseCallback(
    virConnectPtr conn, virConnectCloseFunc callback, void *opaque, virFreeCallback free_opaque)
{
	return 0;
}

EXPORT int
virConnectUnregisterCloseCallback(virConnectPtr conn, virConnectCloseFunc callback)
{
	return 0;
}

/* The host */

EXPORT char *
virConnectGetCapabilities(virConnectPtr conn)
{
	char *xml;

	if (asprintf(&xml,
		"<capabilities><host><uuid>" HOST_UUID "</uuid><cpu><arch>x86_64</arch>"
		"<model>EPYC</model><vendor>AMD</vendor>"
		"<counter name='tsc' frequency='2000000000' scaling='no'/></cpu></host>"
		"</capabilities>",
		conn->host) < 0)
		abort();
	return xml;
}

EXPORT char *
virConnectGetHostname(virConnectPtr conn)
{
	char *name;

	if (asprintf(&name, "h%u", conn->host) < 0)
		abort();
	return name;
}

EXPORT char *
virConnectGetSysinfo(virConnectPtr conn, unsigned int flags)
{
	fail(VIR_ERR_CONFIG_UNSUPPORTED, "no SMBIOS in host", conn->dir);
	return NULL;
}

EXPORT int
virNodeGetInfo(virConnectPtr conn, virNodeInfoPtr info)
{
	*info = (virNodeInfo){ .model = "x86_64",
		.memory = 1024 * 1024 * MIB,
		.cpus = 128,
		.mhz = 2000,
		.nodes = 2,
		.sockets = 1,
		.cores = 32,
		.threads = 2 };
	return 0;
}

EXPORT unsigned long long
virNodeGetFreeMemory(virConnectPtr conn)
{
	return 512ULL << 30;
}

static unsigned long long
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000000 + (unsigned long long)ts.tv_nsec;
}

EXPORT int
virNodeGetCPUStats(
    virConnectPtr conn, int cpu, virNodeCPUStatsPtr params, int *n, unsigned int flags)
{
	if (*n > 0) {
		strcpy(params->field, VIR_NODE_CPU_STATS_USER);
		params->value = now_ns();
	}
	*n = 1;
	return 0;
}

/* The VMs */

/* Reads the state of all into states; how many, or -1. */
static int
read_states(virConnectPtr conn, uint8_t states[VMS_MAX])
{
	char *path = path_in(conn, "states");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, states, conn->n_vms);

	if (fd >= 0)
		close(fd);
	if (n != (ssize_t)conn->n_vms)
		fail(VIR_ERR_INTERNAL_ERROR, "cannot read", path);
	free(path);
	return n == (ssize_t)conn->n_vms ? (int)n : -1;
}

static virDomainPtr
domain_new(virConnectPtr conn, unsigned int vm)
{
	virDomainPtr domain = calloc(1, sizeof(*domain));

	if (!domain)
		abort();
	domain->conn = conn;
	domain->vm = vm;
	snprintf(domain->name, sizeof(domain->name), "vm-%u-%u", conn->host, vm);
	return domain;
}

EXPORT int
virDomainFree(virDomainPtr domain)
{
	free(domain);
	return 0;
}

EXPORT const char *
virDomainGetName(virDomainPtr domain)
{
	return domain->name;
}

EXPORT int
virDomainGetUUIDString(virDomainPtr domain, char *buf)
{
	snprintf(buf, VIR_UUID_STRING_BUFLEN, VM_UUID, domain->conn->host, domain->vm);
	return 0;
}

EXPORT virDomainPtr
virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid)
{
	unsigned int host, vm;

	if (sscanf(uuid, "%8x-0000-4000-9000-%12x", &host, &vm) == 2 && host == conn->host &&
	    vm < conn->n_vms)
		return domain_new(conn, vm);
	fail(VIR_ERR_NO_DOMAIN, "no domain", uuid);
	return NULL;
}

EXPORT int
virConnectListAllDomains(virConnectPtr conn, virDomainPtr **domains, unsigned int flags)
{
	*domains = calloc(conn->n_vms + 1, sizeof(**domains));
	if (!*domains)
		abort();
	for (unsigned int i = 0; i < conn->n_vms; i++)
		(*domains)[i] = domain_new(conn, i);
	return (int)conn->n_vms;
}

EXPORT int
virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
	uint8_t states[VMS_MAX];

	if (read_states(domain->conn, states) < 0)
		return -1;
	*state = states[domain->vm];
	*reason = 0;
	return 0;
}

EXPORT int
virDomainIsActive(virDomainPtr domain)
{
	int state, reason;

	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return -1;
	return state != VIR_DOMAIN_SHUTOFF;
}

EXPORT int
virDomainIsPersistent(virDomainPtr domain)
{
	return 1;
}

/* One that VirtX did not make: there is no registry and no image behind it. */
EXPORT char *
virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
	char uuid[VIR_UUID_STRING_BUFLEN], *xml;

	virDomainGetUUIDString(domain, uuid);
	if (asprintf(&xml,
		"<domain type='kvm'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>4096</memory>"
		"<vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><cpu>"
		"<topology sockets='1' cores='2' threads='1'/></cpu><devices><disk type='file' "
		"device='disk'><driver name='qemu' type='qcow2'/><source file='/vms/ds1/%s.qcow2'/>"
		"<target dev='vda' bus='virtio'/><boot order='1'/></disk><interface type='bridge'>"
		"<mac address='52:54:00:%02x:%02x:%02x'/><source bridge='br0'/><model "
		"type='virtio'/></interface></devices></domain>",
		domain->name, uuid, domain->name, domain->conn->host & 0xff, domain->vm >> 8 & 0xff,
		domain->vm & 0xff) < 0)
		abort();
	return xml;
}

/* Statistics */

static void
add(virDomainStatsRecordPtr record, const char *name, int type, unsigned long long value)
{
	virTypedParameterPtr param = &record->params[record->nparams++];

	strcpy(param->field, name);
	param->type = type;
	if (type == VIR_TYPED_PARAM_ULLONG)
		param->value.ul = value;
	else
		param->value.i = (int)value;
}

static virDomainStatsRecordPtr
record_new(virConnectPtr conn, unsigned int vm, uint8_t state, unsigned int stats)
{
	virDomainStatsRecordPtr record = calloc(1, sizeof(*record));
	unsigned long long now = now_ns();

	if (record)
		record->params = calloc(STATS_N, sizeof(*record->params));
	if (!record || !record->params)
		abort();
	record->dom = domain_new(conn, vm);
	add(record, "state.state", VIR_TYPED_PARAM_INT, state);
	add(record, "state.reason", VIR_TYPED_PARAM_INT, 0);
	if (!(stats & VIR_DOMAIN_STATS_CPU_TOTAL))
		return record;
	/* Some a little busy, some more. */
	add(record, "cpu.time", VIR_TYPED_PARAM_ULLONG, now / 100 * (1 + vm % 50));
	add(record, "balloon.maximum", VIR_TYPED_PARAM_ULLONG, 4096 * MIB);
	add(record, "balloon.rss", VIR_TYPED_PARAM_ULLONG, 2048 * MIB);
	add(record, "net.0.rx.bytes", VIR_TYPED_PARAM_ULLONG, now / 100000 * (vm % 50));
	add(record, "net.0.tx.bytes", VIR_TYPED_PARAM_ULLONG, now / 100000 * (vm % 50));
	add(record, "block.count", VIR_TYPED_PARAM_INT, 1);
	add(record, "block.0.capacity", VIR_TYPED_PARAM_ULLONG, 20480 * MIB * 1024);
	add(record, "block.0.allocation", VIR_TYPED_PARAM_ULLONG, 1024 * MIB * 1024);
	return record;
}

EXPORT int
virConnectGetAllDomainStats(
    virConnectPtr conn, unsigned int stats, virDomainStatsRecordPtr **ret, unsigned int flags)
{
	uint8_t states[VMS_MAX];
	int n = read_states(conn, states), count = 0;

	if (n < 0)
		return -1;
	*ret = calloc((size_t)n + 1, sizeof(**ret));
	if (!*ret)
		abort();
	for (int i = 0; i < n; i++) {
		if (states[i] == VIR_DOMAIN_SHUTOFF &&
		    flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)
			continue;
		(*ret)[count++] = record_new(conn, (unsigned int)i, states[i], stats);
	}
	return count;
}

EXPORT void
virDomainStatsRecordListFree(virDomainStatsRecordPtr *stats)
{
	for (virDomainStatsRecordPtr *next = stats; *next; next++) {
		virDomainFree((*next)->dom);
		free((*next)->params);
		free(*next);
	}
	free(stats);
}

static const virTypedParameter *
find_param(virTypedParameterPtr params, int n, const char *name, int type)
{
	for (int i = 0; i < n; i++) {
		if (params[i].type == type && strcmp(params[i].field, name) == 0)
			return &params[i];
	}
	return NULL;
}

EXPORT int
virTypedParamsGetULLong(
    virTypedParameterPtr params, int n, const char *name, unsigned long long *value)
{
	const virTypedParameter *param = find_param(params, n, name, VIR_TYPED_PARAM_ULLONG);

	if (param)
		*value = param->value.ul;
	return param != NULL;
}

EXPORT int
virTypedParamsGetInt(virTypedParameterPtr params, int n, const char *name, int *value)
{
	const virTypedParameter *param = find_param(params, n, name, VIR_TYPED_PARAM_INT);

	if (param)
		*value = param->value.i;
	return param != NULL;
}

/* Events */

/* One at a time, as they come from libvirtd. */
static void
on_event(int watch, int fd, int what, void *opaque)
{
	virConnectPtr conn = opaque;
	struct record record;
	virDomainPtr domain;

	if (read(fd, &record, sizeof(record)) != sizeof(record) || record.vm >= conn->n_vms)
		return;
	domain = domain_new(conn, record.vm);
	conn->callback(conn, domain, record.event, record.detail, conn->opaque);
	virDomainFree(domain);
}

/* Of all events there are lifecycles only: no VM is ever defined anew. */
EXPORT int
virConnectDomainEventRegisterAny(virConnectPtr conn, virDomainPtr domain, int event,
    virConnectDomainEventGenericCallback callback, void *opaque, virFreeCallback free_opaque)
{
	char *path;

	if (event != VIR_DOMAIN_EVENT_ID_LIFECYCLE)
		return event;
	path = path_in(conn, "events");
	/* It writes, too, so that there is no end of file. */
	conn->events = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (conn->events < 0)
		fail(VIR_ERR_INTERNAL_ERROR, "cannot open", path);
	free(path);
	if (conn->events < 0)
		return -1;
	conn->callback = (virConnectDomainEventCallback)(void (*)(void))callback;
	conn->opaque = opaque;
	conn->watch = lib.add_handle(conn->events, VIR_EVENT_HANDLE_READABLE, on_event, conn, NULL);
	return event;
}

EXPORT int
virConnectDomainEventDeregisterAny(virConnectPtr conn, int id)
{
	if (id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
		lib.remove_handle(conn->watch);
	return 0;
}
