/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans over 100 hosts with 100 VMs each: the VMs of one host, 20 of them, and all of them. Exits 1
 * where one is over its bar. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ops/loss_plan.h"
#include "state/inventory.h"
#include "state/placement.h"

#define HOSTS 100
#define VMS   100

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static char *
host_uuid(int n, char out[37])
{
	snprintf(out, 37, "00000001-1111-4222-8333-%012x", n);
	return out;
}

/* Every tenth VM has to stay apart from nine others. */
static void
fill_host(struct inventory *inventory, int h)
{
	char host[37], uuid[37], name[32], value[32], empty[] = "", apart[] = PLACEMENT_APART;
	struct custom_field custom = { apart, value };
	struct vm_info vm = { .uuid = uuid,
		.host = host_uuid(h, host),
		.runstate = VMRUNSTATE_RUNNING,
		.ts = 1000,
		.name = name,
		.custom = &custom,
		.vcpus = 4,
		.memory = 4096,
		.want = WANT_ON };
	const struct host_ha armed = { true, h + 1, 1, 10, 60 };
	struct host_info info = { .uuid = host,
		.fields = { .name = name,
		    .cpudef = { empty, 2, 1, 64, 2 },
		    .memoryavailable = 1 << 20,
		    .ts = 1000 } };

	snprintf(name, sizeof(name), "host%03d", h);
	inventory_set_host(inventory, host, name, CSTATE_ACTIVE);
	inventory_take_host(inventory, &info, NULL);
	inventory_set_ha(inventory, host, &armed);
	for (int v = 0; v < VMS; v++) {
		snprintf(uuid, sizeof(uuid), "5a1f3c7e-9b52-4d0a-8f3e-%012x", h * VMS + v);
		snprintf(name, sizeof(name), "vm-%05d", h * VMS + v);
		snprintf(value, sizeof(value), "set%d", h / 10 * VMS + v);
		vm.n_custom = v % 10 == 0;
		inventory_take_info(inventory, &vm);
	}
}

/* Plans for the first vms of each of the first hosts; ms. */
static double
plan(const struct inventory *inventory, int hosts, int vms, bool brief)
{
	char from[37], uuid[37], name[] = "vm", value[32], apart[] = PLACEMENT_APART;
	struct custom_field custom = { apart, value };
	struct vmdef def = { .name = name,
		.memory = { 4096, false },
		.cpudef = { NULL, 1, 2, 2, 1 },
		.custom = &custom };
	struct placement_need need = {
		.vm = uuid, .from = from, .target = "", .def = &def, .brief = brief
	};
	double start = now();
	struct planner *planner = planner_new(inventory);
	int failed = 0;

	for (int h = 0; h < hosts; h++) {
		host_uuid(h, from);
		for (int v = 0; v < vms; v++) {
			struct placement placement = { 0 };
			struct error err = { 0 };

			snprintf(uuid, sizeof(uuid), "5a1f3c7e-9b52-4d0a-8f3e-%012x", h * VMS + v);
			snprintf(value, sizeof(value), "set%d", h / 10 * VMS + v);
			def.n_custom = v % 10 == 0;
			failed += planner_place(planner, &need, &placement, &err) < 0;
			model_clear(&placement_model, &placement);
		}
	}
	planner_free(planner);
	return failed ? 1e9 : now() - start;
}

/* What would become of the VMs of each host: all in ms, and the longest slice of the loop. */
static double
plan_losses(const struct inventory *inventory, double *longest)
{
	const struct custom_field all = { 0 };
	double sum = 0;
	char host[37];

	*longest = 0;
	for (int h = 0; h < HOSTS; h++) {
		struct ha_plan_host ret = { 0 };
		double start = now(), ms;

		loss_plan_host(inventory, host_uuid(h, host), true, &all, &ret);
		ms = now() - start;
		sum += ret.restarts == VMS ? ms : 1e9;
		if (ms > *longest)
			*longest = ms;
		model_clear(&ha_plan_host_model, &ret);
	}
	return sum;
}

static int
check(const char *what, double value, double bar)
{
	printf("%-44s %8.2f ms (bar %.0f)%s\n", what, value, bar, value <= bar ? "" : "  OVER");
	return value > bar;
}

int
main(void)
{
	struct inventory *inventory = inventory_new();
	double longest;
	int over = 0;

	for (int h = 0; h < HOSTS; h++)
		fill_host(inventory, h);
	over += check("20 VMs, with all candidates", plan(inventory, 1, 20, false), 100);
	over +=
	    check("100 VMs of one host, with all candidates", plan(inventory, 1, VMS, false), 1000);
	over += check("10000 VMs of 100 hosts", plan(inventory, HOSTS, VMS, true), 1000);
	over += check("the loss of each of 100 hosts", plan_losses(inventory, &longest), 1000);
	over += check("  the longest slice of it", longest, 10);
	inventory_free(inventory);
	return over > 0;
}
