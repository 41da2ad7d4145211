/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/works.h"

#include <string.h>

#include "domain/domain_xml.h"
#include "domain/registry.h"
#include "proto/ha.h"
#include "work/hypervisor.h"

#define VMS_MAX 2000 /* as many as are known of a host */

static void
warn(struct host_vms_result *res, const char *uuid, const char *why)
{
	_free_ char *text = xasprintf("%s%sVM '%s': %s", str_or_empty(res->warning),
	    str_empty(res->warning) ? "" : "; ", uuid, why);

	/* A folder full of them needs no longer text. */
	if (strlen(text) < 1000)
		str_set(&res->warning, text);
}

/* Before the others, which may be many. */
static void
warn_of_rest(struct host_vms_result *res, size_t n)
{
	_free_ char *text = xasprintf("%zu files behind the first %d VMs to be brought back were "
				      "not looked at%s%s",
	    n, VMS_MAX, str_empty(res->warning) ? "" : "; ", str_or_empty(res->warning));

	str_set(&res->warning, text);
}

/* What is needed to choose a host for it. */
static void
add(struct host_vms_result *res, struct domain_info *info)
{
	struct host_vm *vm = model_append(&res->vms, &res->n_vms);

	vm->uuid = xstrdup(info->uuid);
	vm->order = (int16_t)ha_order(&info->def);
	vm->def.name = steal_ptr(info->def.name);
	vm->def.cpudef = info->def.cpudef;
	info->def.cpudef = (struct cpudef){ 0 };
	vm->def.memory = info->def.memory;
	info->def.memory = (struct vmdef_memory){ 0 };
	vm->def.custom = steal_ptr(info->def.custom);
	vm->def.n_custom = info->def.n_custom;
	info->def.n_custom = 0;
}

static void
look_at(const struct host_vms_request *req, const char *uuid, struct host_vms_result *res)
{
	_domain_info_ struct domain_info info = { 0 };
	_free_ char *xml = NULL;
	struct error err = { 0 };

	if (registry_load(req->env.root, req->host, uuid, &xml, &err) < 0 ||
	    (xml && domain_xml_read(xml, req->env.root, &info, &err) < 0)) {
		warn(res, uuid, err.detail);
		return;
	}
	/* It has moved since the folder was read. */
	if (!xml)
		return;
	if (!str_equal(info.uuid, uuid))
		warn(res, uuid, "its file is that of another VM");
	else if (info.recorded && info.want == WANT_ON && ha_restarts(&info.def, req->otherwise))
		add(res, &info);
	else
		res->others++;
}

static int
compare(const void *a, const void *b)
{
	const struct host_vm *x = a, *y = b;
	int32_t xm = x->def.memory.total, ym = y->def.memory.total;

	if (x->order != y->order)
		return x->order - y->order;
	return xm != ym ? (xm < ym) - (xm > ym) : strcmp(x->uuid, y->uuid);
}

int
work_host_vms(const void *request, void *result, struct error *err)
{
	const struct host_vms_request *req = request;
	struct host_vms_result *res = result;
	_free_ struct registry_entry *entries = NULL;
	size_t n = 0, next = 0;

	if (registry_list(req->env.root, req->host, &entries, &n, err) < 0)
		return -1;
	for (; next < n && res->n_vms < VMS_MAX; next++)
		look_at(req, entries[next].uuid, res);
	if (next < n)
		warn_of_rest(res, n - next);
	if (res->n_vms > 0)
		qsort(res->vms, res->n_vms, sizeof(*res->vms), compare);
	return 0;
}
