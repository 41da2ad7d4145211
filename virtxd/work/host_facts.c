/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/host_facts.h"

#include <stdio.h>
#include <string.h>

#include "domain/domain_xml.h"
#include "work/hypervisor.h"

#define LOAD_FACTOR_DEFAULT 25

/* Calls each with every line of a small local file; a missing file has none. */
static void
each_line(
    const char *path, void (*each)(char *line, struct host_report *ret), struct host_report *ret)
{
	FILE *file = fopen(path, "re");
	char line[512];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		each(line, ret);
	}
	fclose(file);
}

/* /proc/meminfo's sizes are in kB. */
static void
read_meminfo(char *line, struct host_report *ret)
{
	long long value;

	/* Pages first, then their size turns both into KiB. */
	if (sscanf(line, "HugePages_Total: %lld", &value) == 1)
		ret->hp_total = value;
	else if (sscanf(line, "HugePages_Free: %lld", &value) == 1)
		ret->hp_free = value;
	else if (sscanf(line, "Hugepagesize: %lld kB", &value) == 1) {
		ret->hp_total *= value;
		ret->hp_free *= value;
	}
}

static void
unquote(char *text)
{
	size_t len = strlen(text);

	if (len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		memmove(text, text + 1, len - 2);
		text[len - 2] = '\0';
	}
}

static void
read_os_release(char *line, struct host_report *ret)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	unquote(value);
	if (strcmp(line, "ID") == 0)
		str_set(&ret->def.osid, value);
	else if (strcmp(line, "VERSION_ID") == 0)
		str_set(&ret->def.osv, value);
}

/* "-o N" among the options of numa-preplace. */
static void
read_preplace(char *line, struct host_report *ret)
{
	const char *option = line[0] == '#' ? NULL : strstr(line, "-o");
	int value;

	if (option && sscanf(option + 2, " %d", &value) == 1 && value > 0 && value <= 10000)
		ret->load_factor = value;
}

/* The highest frequency is in kHz. */
static void
read_max_freq(char *line, struct host_report *ret)
{
	long long khz;

	if (sscanf(line, "%lld", &khz) == 1 && khz > 0)
		ret->mhz = (int32_t)(khz / 1000);
}

static int
read_definition(virConnectPtr conn, const virNodeInfo *node, struct hostdef *def, struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };
	_free_ char *name = virConnectGetHostname(conn);
	_free_ char *sysinfo = virConnectGetSysinfo(conn, 0);

	if (!name)
		return hypervisor_error(err, 424, "cannot read the host's name");
	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	def->name = steal_ptr(name);
	def->cpuarch.arch = xstrdup(caps.arch);
	def->cpuarch.vendor = xstrdup(caps.vendor);
	def->cpudef.model = xstrdup(caps.model);
	def->cpudef.nodes = (int16_t)node->nodes;
	def->cpudef.sockets = (int16_t)node->sockets;
	def->cpudef.cores = (int16_t)node->cores;
	def->cpudef.threads = (int16_t)node->threads;
	def->tscfreq = caps.tsc_hz;
	if (sysinfo)
		domain_sysinfo_read(sysinfo, &def->sysinfo);
	return 0;
}

static int
read_cpu_time(virConnectPtr conn, int64_t *ret, struct error *err)
{
	virNodeCPUStats stats[16];
	int n = 0; /* asks how many there are */

	if (virNodeGetCPUStats(conn, VIR_NODE_CPU_STATS_ALL_CPUS, NULL, &n, 0) < 0 ||
	    n > (int)ARRAY_SIZE(stats) ||
	    virNodeGetCPUStats(conn, VIR_NODE_CPU_STATS_ALL_CPUS, stats, &n, 0) < 0)
		return hypervisor_error(err, 424, "cannot read the host's CPU times");
	for (int i = 0; i < n; i++) {
		if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_KERNEL) == 0 ||
		    strcmp(stats[i].field, VIR_NODE_CPU_STATS_USER) == 0 ||
		    strcmp(stats[i].field, VIR_NODE_CPU_STATS_IOWAIT) == 0)
			*ret += (int64_t)stats[i].value;
	}
	return 0;
}

int
host_facts_read(virConnectPtr conn, bool definition, struct host_report *ret, struct error *err)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	virNodeInfo node;

	if (hypervisor_host(conn, uuid, err) < 0)
		return -1;
	if (virNodeGetInfo(conn, &node) < 0)
		return hypervisor_error(err, 424, "cannot read the host's size");
	ret->uuid = xstrdup(uuid);
	ret->mhz = (int32_t)node.mhz;
	ret->memory_total = (int64_t)node.memory;
	ret->memory_free = (int64_t)(virNodeGetFreeMemory(conn) / 1024);
	ret->load_factor = LOAD_FACTOR_DEFAULT;
	if (read_cpu_time(conn, &ret->cpu_ns, err) < 0)
		return -1;
	each_line("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", read_max_freq, ret);
	each_line("/proc/meminfo", read_meminfo, ret);
	each_line("/etc/numa-preplace.conf", read_preplace, ret);
	if (!definition)
		return 0;
	ret->has_def = true;
	each_line("/usr/lib/os-release", read_os_release, ret);
	each_line("/etc/os-release", read_os_release, ret);
	return read_definition(conn, &node, &ret->def, err);
}
