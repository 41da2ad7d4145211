/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx get vm and virtx get runstate vm. */
#include "proto/model.h"
#include "proto/vmdef.h"
#include "virtx/verbs.h"

static const struct option_row get_vm_options[] = {
	{ 'k', "disk", NULL, "only the disks" },
	{ 'n', "net", NULL, "only the networks" },
	{ 'K', "stat-disk", NULL, "only the disk statistics" },
	{ 'N', "stat-net", NULL, "only the network statistics" },
	{ 'C', "stat-cpu", NULL, "only the CPU statistics" },
	{ 'M', "stat-mem", NULL, "only the memory statistics" },
	{ 0 },
};

static void
show_overview(struct writer *w, const struct vm *vm)
{
	const struct vmdef *def = &vm->def;
	const struct cpudef *cpu = &def->cpudef;
	_buffer_ struct buffer custom = { 0 };
	char time[WRITER_TIME_SIZE];

	for (size_t i = 0; i < def->n_custom; i++)
		buffer_printf(&custom, "%s%s=%s", i ? ", " : "", str_or_empty(def->custom[i].name),
		    str_or_empty(def->custom[i].value));
	writer_field(w, "uuid", "%s", str_or_empty(vm->uuid));
	writer_field(w, "name", "%s", str_or_empty(def->name));
	writer_field(w, "state", "%s", writer_runstate(vm->runinfo.runstate));
	if (!str_empty(vm->runinfo.reason))
		writer_field(w, "reason", "%s", vm->runinfo.reason);
	if (vm->want != WANT_UNKNOWN)
		writer_field(w, "wanted", "%s", enum_word(&want_enum, vm->want));
	writer_field(w, "host", "%s", str_or_empty(vm->runinfo.host));
	writer_field(w, "cpu", "%s", str_or_empty(cpu->model));
	writer_field(w, "cpus", "%d sockets x %d cores x %d threads = %u", cpu->sockets, cpu->cores,
	    cpu->threads, vmdef_vcpus(def));
	writer_field(
	    w, "memory", "%d MiB%s", def->memory.total, def->memory.hp ? " in hugepages" : "");
	writer_field(w, "numa placement", "%s", def->numa.placement ? "yes" : "no");
	writer_field(w, "firmware", "%s", enum_word(&firmware_type_enum, def->firmware));
	writer_field(w, "generation id", "%s", str_or_empty(def->genid));
	writer_field(w, "vlan", "%d", def->vlanid);
	writer_field(w, "custom", "%s", str_or_empty(custom.data));
	writer_field(w, "updated", "%s", writer_time(vm->ts, time));
}

static void
show_disks(struct writer *w, const struct vmdef *def)
{
	static const char *const titles[] = { "DISK", ">SIZE", "DEVICE", "BUS", "MANAGED",
		"PROVISIONED" };
	const struct disk *disk;

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		writer_cell(w, "%s", str_or_empty(disk->path));
		writer_cell(w, "%d MiB", disk->size);
		writer_cell(w, "%s", enum_word(&disk_device_enum, disk->device));
		writer_cell(w, "%s", enum_word(&disk_bus_enum, disk->bus));
		writer_cell(w, "%s", enum_word(&disk_man_mode_enum, disk->man));
		writer_cell(w, "%s", enum_word(&disk_prov_mode_enum, disk->prov));
	}
	writer_end(w);
}

static void
show_nets(struct writer *w, const struct vmdef *def)
{
	static const char *const titles[] = { "NET", "TYPE", "MODEL", "MAC" };

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < def->n_nets; i++) {
		const struct net *net = &def->nets[i];

		writer_cell(w, "%s", str_or_empty(net->name));
		writer_cell(w, "%s", enum_word(&net_type_enum, net->nettype));
		writer_cell(w, "%s", enum_word(&net_model_enum, net->model));
		writer_cell(w, "%s", str_or_empty(net->mac));
	}
	writer_end(w);
}

static void
show_statistics(
    struct writer *w, const struct vmstats *stats, bool cpu, bool memory, bool disk, bool net)
{
	if (cpu) {
		writer_field(w, "cpu use", "%d%% (100%% is one cpu)", stats->cpu_utilization);
		writer_field(w, "cpu used", "%d MHz", stats->mhz_used);
	}
	if (memory) {
		writer_field(w, "memory capacity", "%lld MiB", (long long)stats->memory_capacity);
		writer_field(w, "memory used", "%lld MiB", (long long)stats->memory_used);
	}
	if (disk) {
		writer_field(w, "disk capacity", "%lld MiB", (long long)stats->disk_capacity);
		writer_field(w, "disk allocation", "%lld MiB", (long long)stats->disk_allocation);
		writer_field(w, "disk physical", "%lld MiB", (long long)stats->disk_physical);
	}
	if (net) {
		writer_field(w, "net received", "%d KiB/s", stats->net_rx_bw);
		writer_field(w, "net sent", "%d KiB/s", stats->net_tx_bw);
	}
}

static void
show_oplog(struct writer *w, const struct oplog_list *oplog)
{
	static const char *const titles[] = { "OPERATION", "STATE", "START", "END", "MESSAGE" };
	char time[WRITER_TIME_SIZE];

	writer_begin(w, titles, ARRAY_SIZE(titles));
	for (size_t i = 0; i < oplog->n_items; i++) {
		const struct oplog_item *item = &oplog->items[i];

		writer_cell(w, "%s", str_or_empty(item->op));
		writer_cell(w, "%s", str_or_empty(item->status));
		writer_cell(w, "%s", writer_time(item->ts, time));
		writer_cell(w, "%s", writer_time(item->te, time));
		writer_cell(w, "%s", str_or_empty(item->msg));
	}
	writer_end(w);
}

static enum command_result
get_vm(struct command_call *call, struct error *err)
{
	const int *given = call->counts;
	bool all = true;
	struct vm vm = { 0 };

	for (const struct option_row *row = get_vm_options; row->letter; row++)
		all = all && !given[row->letter];
	if (client_get(call->client, ROUTE_VM_GET, call->operands[0], NULL, &vm, err) < 0) {
		error_wrap(err, "cannot get vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	writer_document(call->writer, &vm_model, &vm);
	if (all)
		show_overview(call->writer, &vm);
	show_statistics(call->writer, &vm.stats, given['C'], given['M'], given['K'], given['N']);
	if (all || given['k'])
		show_disks(call->writer, &vm.def);
	if (given['n'] || (all && vm.def.n_nets > 0))
		show_nets(call->writer, &vm.def);
	if (all && vm.stats.oplog.n_items > 0)
		show_oplog(call->writer, &vm.stats.oplog);
	model_clear(&vm_model, &vm);
	return COMMAND_OK;
}

const struct command get_vm_command = {
	.words = "get vm",
	.operands = { ARG_VM },
	.options = get_vm_options,
	.summary = "Show a VM",
	.help =
	    "Several options may be given; without one the definition and the latest operations "
	    "are shown.",
	.examples = "virtx get vm -kn web\n"
		    "virtx get vm -o json web\n",
	.run = get_vm,
};

static enum command_result
get_runstate_vm(struct command_call *call, struct error *err)
{
	struct vmruninfo runinfo = { 0 };

	if (client_get(
		call->client, ROUTE_VM_RUNSTATE_GET, call->operands[0], NULL, &runinfo, err) < 0) {
		error_wrap(err, "cannot get runstate vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	writer_document(call->writer, &vmruninfo_model, &runinfo);
	writer_field(call->writer, "state", "%s", writer_runstate(runinfo.runstate));
	if (runinfo.last != VMRUNSTATE_NONE)
		writer_field(call->writer, "last", "%s", writer_runstate(runinfo.last));
	if (!str_empty(runinfo.reason))
		writer_field(call->writer, "reason", "%s", runinfo.reason);
	writer_field(call->writer, "host", "%s", str_or_empty(runinfo.host));
	model_clear(&vmruninfo_model, &runinfo);
	return COMMAND_OK;
}

const struct command get_runstate_vm_command = {
	.words = "get runstate vm",
	.operands = { ARG_VM },
	.summary = "Show the state of a VM and its host",
	.run = get_runstate_vm,
};
