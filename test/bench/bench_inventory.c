/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inventory of 100 hosts with 100 VMs each: how long listings take, what they weigh, what
 * memory it all takes. Exits 1 where one is over its bar. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/json.h"
#include "proto/shared_text.h"
#include "state/inventory.h"

#define HOSTS 100
#define VMS   100
#define RUNS  20

/* Processor time, ms: what else the machine does is not counted. */
static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
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

/* The bytes of the answer. */
static size_t
list_once(struct inventory *inventory, const struct vm_list_fields *filter)
{
	struct shared_text *text = inventory_vms_json(inventory, filter, NULL);
	size_t len = text->len;

	shared_text_drop(text);
	return len;
}

/* The median of some runs, ms. */
static double
list(struct inventory *inventory, const struct vm_list_fields *filter, size_t *ret_len)
{
	double took[RUNS];

	for (int i = 0; i < RUNS; i++) {
		double start = now();

		*ret_len = list_once(inventory, filter);
		took[i] = now() - start;
	}
	qsort(took, RUNS, sizeof(*took), compare);
	return took[RUNS / 2];
}

static size_t
count(struct inventory *inventory, const struct vm_list_fields *filter)
{
	struct vm_list found = { 0 };
	size_t n;

	inventory_list_vms(inventory, filter, NULL, &found);
	n = found.n_items;
	model_clear(&vm_list_model, &found);
	return n;
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
	double start, took;
	size_t len;
	int over = 0;

	fill(inventory);
	start = now();
	len = list_once(inventory, &all);
	took = now() - start;
	printf("%zu VMs on %d hosts\n", inventory_n_vms(inventory), HOSTS);
	over += check("GET /vms, all of it new", took, 20, "ms");
	over += check("GET /vms, none of it", list(inventory, &all, &len), 5, "ms");
	over += check("its body", (double)len / (1 << 20), 5, "MiB");
	over += count(inventory, &one) != 1;
	over += check("GET /vms, filtered to one", list(inventory, &one, &len), 2, "ms");
	over += check("private memory", (double)private_memory() / 1024, 40, "MiB");
	inventory_free(inventory);
	return over > 0;
}
