/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/filter.h"

#include <string.h>

static bool
contains(const char *text, const char *part)
{
	return str_empty(part) || strstr(str_or_empty(text), part);
}

static bool
equals(const char *text, const char *wanted)
{
	return str_empty(wanted) || str_equal(text, wanted);
}

static bool
names(const char *text, const char *wanted, bool exact)
{
	return exact ? equals(text, wanted) : contains(text, wanted);
}

static bool
at_least(int64_t value, int64_t minimum)
{
	return minimum == 0 || value >= minimum;
}

static bool
not_newer(int64_t ts, int64_t wanted)
{
	return wanted == 0 || ts <= wanted;
}

const struct custom_field *
filter_custom(const struct vmdef *def, const struct custom_field *wanted)
{
	if (str_empty(wanted->name))
		return NULL;
	for (size_t i = 0; i < def->n_custom; i++) {
		if (str_equal(def->custom[i].name, wanted->name) &&
		    equals(def->custom[i].value, wanted->value))
			return &def->custom[i];
	}
	return NULL;
}

bool
filter_vm(
    const struct vm *vm, enum vmrunstate runstate, const struct vm_list_fields *filter, bool exact)
{
	return names(vm->def.name, filter->name, exact) && equals(vm->runinfo.host, filter->host) &&
	       (filter->runstate == 0 || runstate == filter->runstate) &&
	       (filter->vlanid == 0 || vm->def.vlanid == filter->vlanid) &&
	       (str_empty(filter->custom.name) || filter_custom(&vm->def, &filter->custom)) &&
	       not_newer(vm->ts, filter->ts);
}

bool
filter_host(const struct host_list_fields *host, const struct host_list_fields *filter, bool exact)
{
	const struct cpudef *cpu = &host->cpudef, *want = &filter->cpudef;

	return names(host->name, filter->name, exact) &&
	       equals(host->cpuarch.arch, filter->cpuarch.arch) &&
	       equals(host->cpuarch.vendor, filter->cpuarch.vendor) &&
	       equals(cpu->model, want->model) && at_least(cpu->nodes, want->nodes) &&
	       at_least(cpu->sockets, want->sockets) && at_least(cpu->cores, want->cores) &&
	       at_least(cpu->threads, want->threads) &&
	       (filter->cstate == 0 || host->cstate == filter->cstate) &&
	       at_least(host->memoryavailable, filter->memoryavailable) &&
	       at_least(host->hpavailable, filter->hpavailable) &&
	       equals(host->osid, filter->osid) && equals(host->osv, filter->osv) &&
	       not_newer(host->ts, filter->ts);
}

bool
filter_operation(const struct operation *operation, const struct operation_list_fields *filter)
{
	return equals(operation->vm, filter->vm) && equals(operation->host, filter->host) &&
	       equals(operation->op, filter->op) && equals(operation->state, filter->state) &&
	       equals(operation->user, filter->user) && at_least(operation->ts, filter->since);
}
