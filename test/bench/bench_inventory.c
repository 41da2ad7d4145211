/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inventory of 100 hosts with 100 VMs each: how long listings take, what they weigh, what
 * memory it all takes. Exits 1 where one is over its bar. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/json.h"
#include "state/inventory.h"

#define HOSTS 100
#define VMS   100
#define RUNS  20

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

/* Private memory of this process, KiB. */
static long
private_memory(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	long sum = 0, value;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Private_Clean: %ld", &value) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &value) == 1)
			sum += value;
	}
	if (file)
		fclose(file);
	return sum;
}

static void
fill(struct inventory *inventory)
{
	char host[37], uuid[37], name[32], owner[32];
	struct custom_field custom[] = { { (char[]){ "owner" }, owner },
		{ (char[]){ "CID" }, (char[]){ "1217" } } };
	struct vm_info info = { .uuid = uuid,
		.host = host,
		.name = name,
		.custom = custom,
		.n_custom = 2,
		.vcpus = 4 };

	for (int h = 0; h < HOSTS; h++) {
		snprintf(host, sizeof(host), "00000001-1111-4222-8333-%012x", h);
		snprintf(name, sizeof(name), "host%d", h);
		inventory_set_host(inventory, host, name, CSTATE_ACTIVE);
		for (int v = 0; v < VMS; v++) {
			snprintf(uuid, sizeof(uuid), "5a1f3c7e-9b52-4d0a-8f3e-%012x", h * VMS + v);
			snprintf(name, sizeof(name), "customer-vm-%05d", h * VMS + v);
			snprintf(owner, sizeof(owner), "owner%d", v);
			info.runstate = v % 2 ? VMRUNSTATE_RUNNING : VMRUNSTATE_POWEROFF;
			info.vlanid = (int16_t)(v % 4094);
			info.ts = 1763846400000 + v;
			inventory_take_info(inventory, &info);
		}
	}
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of some runs, ms. */
static double
list(struct inventory *inventory, const struct vm_list_fields *filter, size_t *ret_n,
    size_t *ret_len)
{
	double took[RUNS];

	for (int i = 0; i < RUNS; i++) {
		struct vm_list found = { 0 };
		double start = now();
		char *json;

		inventory_list_vms(inventory, filter, NULL, &found);
		json = json_encode(&vm_list_model, &found, ret_len);
		*ret_n = found.n_items;
		model_clear(&vm_list_model, &found);
		free(json);
		took[i] = now() - start;
	}
	qsort(took, RUNS, sizeof(*took), compare);
	return took[RUNS / 2];
}

/* What is done of it in one turn of the loop at most: the list, without its JSON; ms. */
static double
longest_turn(struct inventory *inventory)
{
	struct vm_list_fields all = { 0 };
	double took[RUNS];

	for (int i = 0; i < RUNS; i++) {
		struct vm_list found = { 0 };
		double start = now();

		inventory_list_vms(inventory, &all, NULL, &found);
		took[i] = now() - start;
		model_clear(&vm_list_model, &found);
	}
	qsort(took, RUNS, sizeof(*took), compare);
	return took[RUNS / 2];
}

static int
check(const char *what, double value, double bar, const char *unit)
{
	printf(
	    "%-28s %10.2f %s (bar %.0f)%s\n", what, value, unit, bar, value <= bar ? "" : "  OVER");
	return value > bar;
}

int
main(void)
{
	struct inventory *inventory = inventory_new();
	struct vm_list_fields all = { 0 }, one = { .name = (char[]){ "vm-07777" } };
	size_t n, len;
	int over = 0;
	double took;

	fill(inventory);
	took = list(inventory, &all, &n, &len);
	printf("%zu VMs on %d hosts\n", n, HOSTS);
	over += check("GET /vms, whole", took, 100, "ms");
	over += check("its body", (double)len / (1 << 20), 5, "MiB");
	over += check("one turn of the loop for it", longest_turn(inventory), 20, "ms");
	took = list(inventory, &one, &n, &len);
	over += n != 1;
	over += check("GET /vms, filtered to one", took, 2, "ms");
	over += check("private memory", (double)private_memory() / 1024, 40, "MiB");
	inventory_free(inventory);
	return over > 0;
}
