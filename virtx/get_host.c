/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx get host. */
#include "proto/model.h"
#include "virtx/verbs.h"

static const struct option_row get_host_options[] = {
	{ 'C', "stat-cpu", NULL, "only the CPU statistics" },
	{ 'M', "stat-mem", NULL, "only the memory statistics" },
	{ 0 },
};

static void
show_resource(
    struct writer *w, const char *name, const struct hostresource *resource, const char *unit)
{
	const int32_t values[] = { resource->total, resource->used, resource->free,
		resource->usedos, resource->reservedvms, resource->usedvms,
		resource->availablevms };

	writer_cell(w, "%s", name);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		writer_cell(w, "%d %s", values[i], unit);
}

static void
show_resources(struct writer *w, const struct hostresources *resources, bool cpu, bool memory)
{
	static const char *const titles[] = { "RESOURCE", ">TOTAL", ">USED", ">FREE", ">USED BY OS",
		">RESERVED FOR VMS", ">USED BY VMS", ">AVAILABLE FOR VMS" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	if (cpu)
		show_resource(w, "cpu", &resources->cpu, "MHz");
	if (memory) {
		show_resource(w, "memory", &resources->memory, "MiB");
		show_resource(w, "hugepages", &resources->hp, "MiB");
	}
	writer_end(w);
}

static void
show_overview(struct writer *w, const struct host *host)
{
	const struct hostdef *def = &host->def;
	const struct cpudef *cpu = &def->cpudef;
	char time[WRITER_TIME_SIZE];

	writer_field(w, "uuid", "%s", str_or_empty(host->uuid));
	writer_field(w, "name", "%s", str_or_empty(def->name));
	writer_field(w, "state", "%s%s", enum_word(&cstate_enum, host->cstate),
	    host->maintenance ? " (maintenance)" : "");
	writer_field(w, "arch", "%s", str_or_empty(def->cpuarch.arch));
	writer_field(w, "vendor", "%s", str_or_empty(def->cpuarch.vendor));
	writer_field(w, "cpu", "%s", str_or_empty(cpu->model));
	writer_field(w, "cpus", "%d nodes x %d sockets x %d cores x %d threads = %lld", cpu->nodes,
	    cpu->sockets, cpu->cores, cpu->threads,
	    (long long)cpu->nodes * cpu->sockets * cpu->cores * cpu->threads);
	writer_field(w, "tsc frequency", "%lld Hz", (long long)def->tscfreq);
	writer_field(w, "firmware", "%s%s%s", str_or_empty(def->sysinfo.version),
	    str_empty(def->sysinfo.date) ? "" : " ", str_or_empty(def->sysinfo.date));
	writer_field(w, "os", "%s%s%s", str_or_empty(def->osid), str_empty(def->osv) ? "" : " ",
	    str_or_empty(def->osv));
	if (host->lockid)
		writer_field(w, "sanlock host id", "%d", host->lockid);
	else
		writer_field(w, "sanlock host id", "not joined");
	writer_field(w, "watchdog", "%s", enum_word(&watchdog_enum, host->watchdog));
	writer_field(w, "updated", "%s", writer_time(host->ts, time));
}

static void
show_problems(struct writer *w, const struct host *host)
{
	static const char *const titles[] = { "PROBLEM", "VM", "PATH", "DETAIL" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < host->n_problems; i++) {
		writer_cell(w, "%s", str_or_empty(host->problems[i].kind));
		writer_cell(w, "%s", str_or_empty(host->problems[i].vm));
		writer_cell(w, "%s", str_or_empty(host->problems[i].path));
		writer_cell(w, "%s", str_or_empty(host->problems[i].detail));
	}
	writer_end(w);
}

static enum command_result
get_host(struct command_call *call, struct error *err)
{
	bool cpu = call->counts['C'], memory = call->counts['M'];
	bool all = !cpu && !memory;
	struct host host = { 0 };

	if (client_get(call->client, ROUTE_HOST_GET, call->operands[0], NULL, &host, err) < 0) {
		error_wrap(err, "cannot get host %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	writer_document(call->writer, &host_model, &host);
	if (all)
		show_overview(call->writer, &host);
	show_resources(call->writer, &host.resources, cpu || all, memory || all);
	if (all && host.n_problems > 0)
		show_problems(call->writer, &host);
	model_clear(&host_model, &host);
	return COMMAND_OK;
}

const struct command get_host_command = {
	.words = "get host",
	.operands = { ARG_HOST },
	.options = get_host_options,
	.summary = "Show a host",
	.help = "Several options may be given; without one everything is shown.",
	.examples = "virtx get host -M h1\n",
	.run = get_host,
};
