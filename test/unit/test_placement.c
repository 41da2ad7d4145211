/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which host is chosen, why, and that what was decided lately counts. */
#include "state/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "state/inventory.h"
#include "state/reservation.h"
#include "state/tokens.h"

#define TOTAL 16384 /* MiB of each host */

static char *
uuid_of(char kind, int n, char out[37])
{
	snprintf(out, 37, "%c0000000-0000-4000-8000-%012d", kind, n);
	return out;
}

static char *
host_uuid(int n)
{
	static char uuids[16][37];

	assert_in_range(n, 0, 15);
	return uuid_of('a', n, uuids[n]);
}

/* A host tells of itself; this one is number 0. */
static void
tell_host(struct inventory *inventory, int n, int32_t memory, int64_t ts)
{
	char name[8], x86[] = "x86_64", empty[] = "";
	struct host_info info = { .uuid = host_uuid(n),
		.fields = { .name = name,
		    .cpuarch = { x86, empty },
		    .cpudef = { empty, 1, 1, 4, 2 },
		    .memoryavailable = memory,
		    .hpavailable = 1024,
		    .ts = ts } };
	struct host_report report = { .uuid = info.uuid,
		.has_def = true,
		.memory_total = INT64_C(1024) * TOTAL,
		.memory_free = INT64_C(1024) * memory };

	snprintf(name, sizeof(name), "h%d", n);
	if (n == 0) {
		report.def = (struct hostdef){
			.name = name, .cpuarch = info.fields.cpuarch, .cpudef = info.fields.cpudef
		};
		inventory_report_host(inventory, &report);
		return;
	}
	inventory_set_host(inventory, info.uuid, name, CSTATE_ACTIVE);
	assert_int_equal(inventory_take_host(inventory, &info, NULL), INVENTORY_TAKEN);
}

static struct inventory *
make(int hosts)
{
	struct inventory *inventory = inventory_new();

	for (int i = 0; i < hosts; i++)
		tell_host(inventory, i, TOTAL, 1000);
	return inventory;
}

static struct vmdef
vm(int32_t memory, int16_t vcpus)
{
	static char name[] = "web";

	return (struct vmdef){
		.name = name, .memory = { memory, false }, .cpudef = { NULL, 1, 1, vcpus, 1 }
	};
}

/* A VM with one custom field. */
static struct vmdef
labelled(struct custom_field *custom, char *name, char *value)
{
	struct vmdef def = vm(64, 1);

	*custom = (struct custom_field){ name, value };
	def.custom = custom;
	def.n_custom = 1;
	return def;
}

/* A VM of another host is told. */
static void
tell_vm(struct inventory *inventory, int n, int host, const struct vmdef *def, int64_t ts)
{
	char uuid[37];
	struct vm_info info = { .uuid = uuid_of('1', n, uuid),
		.host = host_uuid(host),
		.runstate = VMRUNSTATE_RUNNING,
		.ts = ts,
		.name = def->name,
		.custom = def->custom,
		.n_custom = def->n_custom,
		.vcpus = def->cpudef.cores };

	assert_int_equal(inventory_take_info(inventory, &info), INVENTORY_TAKEN);
}

/* A VM of another host has ended. */
static void
end_vm(struct inventory *inventory, int n, int host, int64_t ts)
{
	char uuid[37];
	struct vm_event event = { .uuid = uuid_of('1', n, uuid),
		.host = host_uuid(host),
		.runstate = VMRUNSTATE_DELETED,
		.ts = ts };

	assert_int_equal(inventory_take_event(inventory, &event), INVENTORY_TAKEN);
}

/* A VM of this host is there. */
static void
report_vm(struct inventory *inventory, int n, const struct vmdef *def)
{
	char uuid[37];
	struct vm_report report = { .uuid = uuid_of('1', n, uuid),
		.has_def = true,
		.def = *def,
		.runstate = VMRUNSTATE_POWEROFF };

	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
}

/* The number of the host that is chosen, -1 for none; the reason of the last one in *reason. */
static int
place_need(struct inventory *inventory, const struct placement_need *need, char reason[2048])
{
	struct planner *planner = planner_new(inventory);
	struct placement ret = { 0 };
	struct error err = { 0 };
	int host = -1;

	if (planner_place(planner, need, &ret, &err) == 0) {
		for (host = 0; strcmp(ret.host, host_uuid(host)) != 0; host++)
			assert_in_range(host, 0, 14);
		assert_string_equal(ret.candidates[0].host, ret.host);
	} else {
		assert_int_equal(err.status, 422);
		assert_int_equal(error_get_type(&err), ERROR_NO_HOST);
		assert_string_equal(ret.host, "");
	}
	if (reason)
		snprintf(reason, 2048, "%s", ret.reason);
	model_clear(&placement_model, &ret);
	planner_free(planner);
	return host;
}

static int
place(struct inventory *inventory, const struct vmdef *def, char reason[2048])
{
	struct placement_need need = { .vm = "", .from = "", .target = "", .def = def };

	return place_need(inventory, &need, reason);
}

static void
test_feasible(void **state)
{
	struct inventory *inventory = make(2);
	struct vmdef def = vm(512, 2), big = vm(TOTAL + 1, 1), pages = vm(2048, 1);
	struct placement_excluded excluded = { host_uuid(0), "it is tired" };
	struct placement_need need = { .vm = "", .from = "", .target = "", .def = &def };
	char reason[2048];

	assert_int_equal(place(inventory, &def, reason), 0);
	assert_string_equal(
	    reason, "h0: 15872 MiB of memory would be left, 0.25 vCPUs for each CPU, 1 VM");
	assert_int_equal(place(inventory, &big, reason), -1);
	assert_non_null(
	    strstr(reason, "h1: it has 16384 MiB of memory for VMs, and 16385 MiB are needed"));
	pages.memory.hp = true;
	assert_int_equal(place(inventory, &pages, reason), -1);
	assert_non_null(
	    strstr(reason, "h1: it has 1024 MiB of hugepages for VMs, and 2048 MiB are needed"));
	pages.memory.total = 1024;
	assert_int_equal(place(inventory, &pages, reason), 1);

	need.excluded = &excluded;
	need.n_excluded = 1;
	assert_int_equal(place_need(inventory, &need, reason), 1);
	need.target = host_uuid(0);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h0: it is tired"));
	need = (struct placement_need){ .vm = "", .from = host_uuid(0), .def = &def };
	assert_int_equal(place_need(inventory, &need, reason), 1);
	need.target = host_uuid(0);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h0: the VM is there"));
	need.target = host_uuid(7);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "none is known"));

	inventory_set_host(inventory, host_uuid(1), "h1", CSTATE_FAILED);
	inventory_set_host(inventory, host_uuid(2), "h2", CSTATE_ACTIVE);
	need = (struct placement_need){ .vm = "", .from = host_uuid(0), .def = &def };
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h1: serf says it is failed"));
	assert_non_null(strstr(reason, "h2: it has not told what it has yet"));
	inventory_free(inventory);
}

static void
test_other(void **state)
{
	struct inventory *inventory = make(2);
	char arm[] = "aarch64", name[] = "h2", empty[] = "", reason[2048];
	struct host_info info = { .uuid = host_uuid(2),
		.fields = { .name = name,
		    .cpuarch = { arm, empty },
		    .memoryavailable = 4 * TOTAL,
		    .ts = 1000 } };
	struct vmdef def = vm(512, 2);
	struct placement_need need = { .vm = "", .target = host_uuid(2), .def = &def };

	inventory_set_host(inventory, host_uuid(2), name, CSTATE_ACTIVE);
	inventory_take_host(inventory, &info, NULL);
	assert_int_equal(place(inventory, &def, NULL), 0);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h2: its CPUs are aarch64, not x86_64"));

	/* The inventory owns it; where it is set is none of the planner's business. */
	((struct host *)inventory_find_host(inventory, host_uuid(0)))->maintenance = true;
	assert_int_equal(place(inventory, &def, NULL), 1);
	need.target = host_uuid(0);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h0: it is in maintenance"));
	inventory_free(inventory);
}

/* One that was put out may still be an active member, which has told what it has. */
static void
test_out(void **state)
{
	struct inventory *inventory = make(2);
	struct tokens *tokens = tokens_new();
	struct vmdef def = vm(512, 2);
	struct placement_need need = { .vm = "", .target = host_uuid(1), .def = &def };
	char reason[2048];
	struct error err;

	tell_host(inventory, 1, 2 * TOTAL, 1001);
	assert_int_equal(place(inventory, &def, NULL), 1);
	inventory_set_tokens(inventory, tokens);
	tokens_put_out(tokens, host_uuid(1), true);
	assert_int_equal(place(inventory, &def, NULL), 0);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h1: it was put out of the cluster"));
	assert_int_equal(inventory_check_out(inventory, host_uuid(1), &err), -1);
	assert_int_equal(err.status, 409);
	assert_int_equal(inventory_check_out(inventory, host_uuid(0), &err), 0);
	tokens_put_out(tokens, host_uuid(1), false);
	assert_int_equal(place_need(inventory, &need, reason), 1);
	assert_int_equal(inventory_check_out(inventory, host_uuid(1), &err), 0);
	inventory_free(inventory);
	tokens_free(tokens);
}

static void
test_better(void **state)
{
	struct inventory *inventory = make(3);
	struct vmdef def = vm(512, 2), other = vm(64, 4);

	/* Memory that is nearly the same is the same. */
	tell_host(inventory, 1, TOTAL + TOTAL / 30, 1001);
	assert_int_equal(place(inventory, &def, NULL), 0);
	tell_host(inventory, 1, TOTAL + TOTAL / 10, 1002);
	assert_int_equal(place(inventory, &def, NULL), 1);
	tell_host(inventory, 1, TOTAL, 1003);
	/* vCPUs come before the number of VMs. */
	tell_vm(inventory, 1, 1, &other, 900);
	report_vm(inventory, 2, &other);
	assert_int_equal(place(inventory, &def, NULL), 2);
	other.cpudef.cores = 1;
	for (int i = 3; i < 6; i++)
		tell_vm(inventory, i, 2, &other, 900);
	assert_int_equal(place(inventory, &def, NULL), 2);
	tell_vm(inventory, 6, 2, &other, 900);
	assert_int_equal(place(inventory, &def, NULL), 0);
	inventory_free(inventory);
}

static void
test_apart(void **state)
{
	struct inventory *inventory = make(3);
	char apart[] = PLACEMENT_APART, db[] = "db", mail[] = "mail", reason[2048];
	struct custom_field one, two;
	struct vmdef def = labelled(&one, apart, db), other = labelled(&two, apart, mail);
	struct placement_need need = { .vm = "", .from = host_uuid(1), .target = "", .def = &def };

	report_vm(inventory, 1, &def);
	tell_vm(inventory, 2, 2, &def, 900);
	assert_int_equal(place(inventory, &def, NULL), 1);
	assert_int_equal(place_need(inventory, &need, reason), -1);
	assert_non_null(strstr(reason, "h2: it has VM 'web' with apart 'db'"));
	need.def = &other;
	assert_int_equal(place_need(inventory, &need, NULL), 0);
	inventory_free(inventory);
}

static void
test_group(void **state)
{
	struct inventory *inventory = make(3);
	char group[] = PLACEMENT_GROUP, db[] = "db", reason[2048];
	struct custom_field custom;
	struct vmdef def = labelled(&custom, group, db);
	struct placement_need need = { .vm = "", .from = host_uuid(2), .target = "", .def = &def };

	tell_vm(inventory, 2, 2, &def, 900);
	tell_host(inventory, 2, 1024, 1001);
	assert_int_equal(place(inventory, &def, reason), 2);
	assert_non_null(strstr(reason, "960 MiB of memory would be left"));
	assert_non_null(strstr(reason, "with VM 'web' of group 'db'"));
	/* Where that one cannot have it, any other. */
	assert_int_equal(place_need(inventory, &need, NULL), 0);
	inventory_free(inventory);
}

/* A planner's own moves count for its next ones. */
static void
test_moves(void **state)
{
	struct inventory *inventory = make(3);
	char apart[] = PLACEMENT_APART, db[] = "db";
	struct custom_field custom;
	struct vmdef def = labelled(&custom, apart, db);
	struct placement_need need = { .vm = "", .from = "", .def = &def, .brief = true };
	struct planner *planner;
	struct host_figures figures;

	report_vm(inventory, 1, &def);
	planner = planner_new(inventory);
	for (int i = 0; i < 3; i++) {
		/* Two are made; then one moves away from here, and none is feasible. */
		struct placement ret = { 0 };
		struct error err = { 0 };
		int r;

		need.from = i == 2 ? host_uuid(0) : "";
		r = planner_place(planner, &need, &ret, &err);
		assert_int_equal(r, i < 2 ? 0 : -1);
		if (r == 0)
			assert_string_equal(ret.host, host_uuid(i + 1));
		assert_int_equal(ret.n_candidates, 0);
		model_clear(&placement_model, &ret);
	}
	assert_true(planner_figures(planner, host_uuid(1), &figures));
	assert_int_equal(figures.vms, 1);
	assert_int_equal(figures.memory, TOTAL - 64);
	assert_false(planner_figures(planner, host_uuid(9), &figures));
	planner_free(planner);
	inventory_free(inventory);
}

static int64_t
memory_of(const struct inventory *inventory, int host)
{
	struct planner *planner = planner_new(inventory);
	struct host_figures figures = { 0 };

	assert_true(planner_figures(planner, host_uuid(host), &figures));
	planner_free(planner);
	return figures.memory;
}

static int64_t
vms_of(const struct inventory *inventory, int host)
{
	struct planner *planner = planner_new(inventory);
	struct host_figures figures = { 0 };

	assert_true(planner_figures(planner, host_uuid(host), &figures));
	planner_free(planner);
	return figures.vms;
}

/* A reservation counts until the host's figures have its VM in them, and not longer. */
static void
test_reservation(void **state)
{
	struct inventory *inventory = make(2);
	struct vmdef def = vm(512, 2);
	char uuid[37];
	uint64_t id;

	id = reservation_add(inventory, host_uuid(1), "", &def);
	assert_int_equal(memory_of(inventory, 1), TOTAL - 512);
	reservation_cancel(inventory, id);
	assert_int_equal(memory_of(inventory, 1), TOTAL);

	id = reservation_add(inventory, host_uuid(1), "", &def);
	/* Told before the VM was there. */
	tell_host(inventory, 1, TOTAL, 1500);
	reservation_settle(inventory, id, uuid_of('1', 1, uuid));
	assert_int_equal(memory_of(inventory, 1), TOTAL - 512);
	assert_int_equal(vms_of(inventory, 1), 1);
	tell_vm(inventory, 1, 1, &def, 2000);
	assert_int_equal(memory_of(inventory, 1), TOTAL - 512);
	assert_int_equal(vms_of(inventory, 1), 1);
	assert_int_equal(reservation_count(inventory), 1);
	tell_host(inventory, 1, TOTAL - 500, 2001);
	assert_int_equal(memory_of(inventory, 1), TOTAL - 500);
	assert_int_equal(vms_of(inventory, 1), 1);
	assert_int_equal(reservation_count(inventory), 0);

	/* Here it is known at once. */
	id = reservation_add(inventory, host_uuid(0), uuid_of('1', 2, uuid), &def);
	assert_int_equal(memory_of(inventory, 0), TOTAL - 512);
	report_vm(inventory, 2, &def);
	assert_int_equal(memory_of(inventory, 0), TOTAL - 512);
	assert_int_equal(vms_of(inventory, 0), 1);
	reservation_settle(inventory, id, uuid);
	assert_int_equal(reservation_count(inventory), 0);
	assert_int_equal(memory_of(inventory, 0), TOTAL - 512);
	inventory_remove_vm(inventory, uuid);
	assert_int_equal(memory_of(inventory, 0), TOTAL);

	/* A VM that has come and gone needs nothing. */
	id = reservation_add(inventory, host_uuid(1), "", &def);
	reservation_settle(inventory, id, uuid_of('1', 3, uuid));
	tell_vm(inventory, 3, 1, &def, 3000);
	usleep(2000);
	end_vm(inventory, 3, 1, 3001);
	assert_int_equal(memory_of(inventory, 1), TOTAL - 500);

	for (int i = 0; i < RESERVATIONS_MAX + 10; i++)
		reservation_add(inventory, host_uuid(1), "", &def);
	assert_int_equal(reservation_count(inventory), RESERVATIONS_MAX);
	inventory_free(inventory);
}

/* What a host answered counts until it tells more. */
static void
test_figures(void **state)
{
	struct inventory *inventory = make(2);
	struct host_figures told = { .vms = 7, .vcpus = 9, .memory = 3000, .hp = 0 };
	struct vmdef def = vm(512, 2);

	reservation_add(inventory, host_uuid(1), "", &def);
	inventory_take_figures(inventory, host_uuid(1), &told);
	assert_int_equal(memory_of(inventory, 1), 3000);
	assert_int_equal(vms_of(inventory, 1), 7);
	reservation_add(inventory, host_uuid(1), "", &def);
	assert_int_equal(memory_of(inventory, 1), 3000 - 512);
	assert_int_equal(vms_of(inventory, 1), 8);
	inventory_free(inventory);
}

/* 100 equal VMs on 3 equal hosts, of which nothing is heard meanwhile. */
static void
test_spread(void **state)
{
	struct inventory *inventory = make(3);
	struct vmdef def = vm(128, 1);
	int on[3] = { 0 };

	for (int i = 0; i < 100; i++) {
		int host = place(inventory, &def, NULL);

		assert_in_range(host, 0, 2);
		on[host]++;
		if (host == 0)
			report_vm(inventory, i, &def);
		else
			reservation_settle(
			    inventory, reservation_add(inventory, host_uuid(host), "", &def), "");
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(on[i], 33, 34);
	inventory_free(inventory);
}

struct untold {
	int vm, host;
	int32_t memory;
};

/* The VMs of a host are told, in whatever time after their coming. */
static void
tell_all(struct inventory *inventory, struct untold *untold, size_t *n, int host, int64_t ts)
{
	size_t left = 0;

	for (size_t i = 0; i < *n; i++) {
		struct vmdef def = vm(untold[i].memory, 1);

		if (untold[i].host == host)
			tell_vm(inventory, untold[i].vm, host, &def, ts);
		else
			untold[left++] = untold[i];
	}
	*n = left;
}

/* Hosts of all sizes and VMs of all sizes, news that come late, VMs that never came to be: no host
 * is given more than it has. */
static void
test_never_too_much(void **state)
{
	unsigned int seed = 4711;

	for (int round = 0; round < 30; round++) {
		enum { HOSTS = 5 };
		struct inventory *inventory = inventory_new();
		int64_t used[HOSTS] = { 0 }, room[HOSTS], ts = 1000;
		struct untold untold[400];
		size_t n_untold = 0;
		int refused = 0;

		for (int h = 0; h < HOSTS; h++) {
			room[h] = 1024 + rand_r(&seed) % TOTAL;
			tell_host(inventory, h, (int32_t)room[h], ts);
		}
		for (int i = 0; i < 400; i++) {
			struct vmdef def = vm(1 + rand_r(&seed) % 2048, 1);
			int host = place(inventory, &def, NULL);
			uint64_t id;
			char uuid[37];

			ts += 10;
			if (host < 0) {
				for (int h = 0; h < HOSTS; h++)
					assert_true(used[h] + def.memory.total > room[h]);
				refused++;
				continue;
			}
			id = reservation_add(inventory, host_uuid(host), "", &def);
			if (rand_r(&seed) % 8 == 0) {
				reservation_cancel(inventory, id);
				continue;
			}
			used[host] += def.memory.total;
			assert_true(used[host] <= room[host]);
			if (host == 0)
				report_vm(inventory, i, &def);
			reservation_settle(inventory, id, uuid_of('1', i, uuid));
			if (host == 0)
				continue;
			untold[n_untold++] = (struct untold){ i, host, def.memory.total };
			if (rand_r(&seed) % 3 == 0)
				tell_all(inventory, untold, &n_untold, host, ts);
			if (n_untold == 0 || rand_r(&seed) % 3)
				continue;
			tell_all(inventory, untold, &n_untold, host, ts);
			tell_host(inventory, host, (int32_t)(room[host] - used[host]), ts + 1);
		}
		assert_true(refused > 0);
		inventory_free(inventory);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_feasible),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_better),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_reservation),
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_never_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
