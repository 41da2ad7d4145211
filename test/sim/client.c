/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "dice.h"
#include "history.h"
#include "host.h"
#include "ops/context.h"
#include "proto/json.h"
#include "server.h"
#include "world.h"

#define LOOK_MS	 200  /* between two looks at an operation, at most */
#define AGAIN_MS 3000 /* until it is looked again at what was answered, at most */

static bool stopped;
static unsigned int last;

struct asked {
	int host;
	unsigned int number;
	enum route_id route;
	char vm[UUID_TEXT_SIZE]; /* "" for none, or one that is made */
	/* Once it is answered */
	int64_t at;	    /* ms */
	unsigned int start; /* of its virtxd */
};

/* A migration that its client follows, and what it asks for then. */
struct journey {
	int host; /* that is asked for the operation, and then for the VM */
	int from, to;
	int64_t began, ended; /* the operation, ms */
	char operation[UUID_TEXT_SIZE], vm[UUID_TEXT_SIZE];
	/* Once it has arrived */
	unsigned int starts[WORLD_HOSTS];	 /* of the virtxds, */
	bool seen[WORLD_HOSTS];			 /* and which of them see it where it is */
	unsigned int starts_before[WORLD_HOSTS]; /* those of when it was first asked for */
};

static void ask(int host, enum route_id id, const char *param, const char *body);

static bool
is_on(const struct world_vm *vm)
{
	bool on = false;

	for (int i = 0; i < world.n_hosts; i++)
		on |= vm->domain[i].on;
	return on;
}

/* Who asks the same host next sees what was done. */
static void
check_seen(const struct asked *asked, const char *when)
{
	const struct world_vm *vm = world_find(asked->vm);
	const struct inventory_vm *view;

	if (!vm)
		return;
	view = inventory_find_vm(host_context(asked->host)->inventory, asked->vm);
	if (asked->route == ROUTE_VM_CREATE && !view && world_is_somewhere(vm))
		history_violation("VM %.8s was created through h%d, which does not know it%s",
		    asked->vm, asked->host + 1, when);
	if (asked->route == ROUTE_VM_DELETE && view && !world_is_somewhere(vm))
		history_violation("VM %.8s was deleted through h%d, which still knows it%s",
		    asked->vm, asked->host + 1, when);
	if (asked->route == ROUTE_VM_BOOT && is_on(vm) && view &&
	    view->vm.runinfo.runstate == VMRUNSTATE_POWEROFF)
		history_violation("VM %.8s was booted through h%d, which says that it is off%s",
		    asked->vm, asked->host + 1, when);
}

/* Whether it is on the host that was asked, was nowhere else since, and nothing is under way that
 * takes it away. */
static bool
has_stayed(const struct asked *asked, const struct world_vm *vm)
{
	for (int i = 0; i < world.n_hosts; i++) {
		if (i != asked->host && (vm->registry[i] || vm->was_here[i] >= asked->at))
			return false;
	}
	return vm->registry[asked->host] && vm->domain[asked->host].defined &&
	       !vm->journal[asked->host].there;
}

/* What the host of a VM has told of it is not taken back by what was seen before. */
static void
look_later(void *arg)
{
	const struct asked *asked = arg;
	const struct world_vm *vm = world_find(asked->vm);
	bool off = vm && (!vm->domain[asked->host].on || vm->was_off[asked->host] >= asked->at);

	if (vm && !clock_is_ending() && host_serves(asked->host) &&
	    host_start(asked->host) == asked->start &&
	    (asked->route == ROUTE_VM_DELETE || has_stayed(asked, vm)) &&
	    !(asked->route == ROUTE_VM_BOOT && off))
		check_seen(asked, " a moment later");
	free(arg);
}

/* True where it takes what was asked over. */
static bool
check_done(struct asked *asked, const struct peer_answer *answer)
{
	if (answer->status != 201 && answer->status != 204)
		return false;
	if (asked->route == ROUTE_VM_CREATE)
		snprintf(asked->vm, sizeof(asked->vm), "%.36s",
		    answer->len > 37 ? answer->body + 1 : "");
	check_seen(asked, "");
	asked->at = clock_now();
	asked->start = host_start(asked->host);
	clock_after(dice_between(1, AGAIN_MS), look_later, asked);
	return true;
}

/* A migration */

static bool
read_operation(const struct peer_answer *answer, struct operation *ret)
{
	struct error err = { 0 };

	*ret = (struct operation){ 0 };
	return answer && json_decode(&operation_model, answer->body, answer->len, ret, &err) == 0;
}

/* Whether the VM has gone nowhere else, and nothing is under way that takes it there. */
static bool
rests(const struct world_vm *vm, const struct journey *journey)
{
	if (!vm || !vm->registry[journey->to] || !vm->domain[journey->to].defined)
		return false;
	for (int i = 0; i < world.n_hosts; i++) {
		int64_t since = i == journey->from ? journey->ended : journey->began;

		if (vm->journal[i].there || (i != journey->to && vm->was_here[i] > since))
			return false;
	}
	return true;
}

static void
on_found(void *arg, const struct peer_answer *answer)
{
	struct journey *journey = arg;

	/* A host that was started meanwhile has heard of its old host first. */
	if (answer &&
	    (answer->status == 404 ||
		(answer->status == 508 &&
		    journey->starts_before[journey->to] == host_start(journey->to))) &&
	    rests(world_find(journey->vm), journey))
		history_violation("VM %.8s has migrated to h%d, and h%d answers %d", journey->vm,
		    journey->to + 1, journey->host + 1, answer->status);
	free(journey);
}

static void
look(int host, enum route_id id, const char *param, server_answered answered,
    struct journey *journey)
{
	_free_ char *path = route_path(id, param);
	const struct server_call call = {
		.method = METHOD_GET, .path = path, .body = "", .client = "10.0.1.1"
	};

	journey->host = host;
	if (host_serves(host) && !clock_is_ending())
		server_request(host, &call, answered, journey);
	else
		free(journey);
}

static struct journey *
journey_copy(const struct journey *journey)
{
	struct journey *copy = xcalloc(1, sizeof(*copy));

	*copy = *journey;
	return copy;
}

static void
find(const struct journey *journey, int host)
{
	look(host, ROUTE_VM_GET, journey->vm, on_found, journey_copy(journey));
}

static bool
sees(int host, const struct journey *journey)
{
	const struct inventory_vm *view =
	    inventory_find_vm(host_context(host)->inventory, journey->vm);

	return view && str_equal(view->vm.runinfo.host, world.hosts[journey->to]);
}

/* Its host was started anew, and finds out whether it is its own. */
static bool
is_undecided(int host, const struct journey *journey)
{
	const char *at = inventory_find_undecided(host_context(host)->inventory, journey->vm);

	return str_equal(at, world.hosts[journey->to]);
}

/* Its old host does not take it back by what was seen before it left, and whoever has heard where
 * it is does not forget that. */
static void
look_left(void *arg)
{
	struct journey *journey = arg;
	const struct world_vm *vm = world_find(journey->vm);
	bool looks = !clock_is_ending() && rests(vm, journey);

	for (int i = 0; looks && i < world.n_hosts; i++) {
		if (host_serves(i) && host_start(i) == journey->starts[i] && journey->seen[i] &&
		    !sees(i, journey) && !is_undecided(i, journey))
			history_violation("VM %.8s has migrated to h%d, and h%d has it elsewhere a "
					  "moment later",
			    journey->vm, journey->to + 1, i + 1);
	}
	free(journey);
}

/* Who asks its old host or its new one finds it, and may send it straight back. */
static void
arrive(const struct journey *journey)
{
	const struct world_vm *vm = world_find(journey->vm);
	struct journey here = *journey;
	_free_ char *body = NULL;

	here.to = vm ? world_registered(vm, WORLD_NOBODY) : WORLD_NOBODY;
	here.ended = clock_now();
	if (here.to == WORLD_NOBODY || here.to == here.from || !rests(vm, &here))
		return;
	find(&here, here.from);
	find(&here, here.to);
	for (int i = 0; i < world.n_hosts; i++) {
		here.starts[i] = host_start(i);
		here.seen[i] = host_serves(i) && sees(i, &here);
	}
	clock_after(dice_between(1, AGAIN_MS), look_left, journey_copy(&here));
	if (stopped || dice_permille(200))
		return;
	body = xasprintf("{\"host\":\"%s\",\"migration_type\":%d}", world.hosts[here.from],
	    is_on(vm) ? MIGRATION_TYPE_LIVE : MIGRATION_TYPE_COLD);
	ask(here.to, ROUTE_VM_MIGRATE, here.vm, body);
}

static void look_again(void *arg);

static void
on_followed(void *arg, const struct peer_answer *answer)
{
	struct journey *journey = arg;
	struct operation operation;
	bool goes_on = read_operation(answer, &operation) && str_equal(operation.state, "started");

	if (goes_on)
		clock_after(dice_between(10, LOOK_MS), look_again, journey);
	else if (str_equal(operation.state, "completed") &&
		 !strstr(str_or_empty(operation.msg), "has not told"))
		arrive(journey);
	if (!goes_on)
		free(journey);
	model_clear(&operation_model, &operation);
}

static void
look_again(void *arg)
{
	struct journey *journey = arg;

	look(journey->host, ROUTE_OPERATION_GET, journey->operation, on_followed, journey);
}

static void
follow(int host, const struct peer_answer *answer)
{
	struct journey *journey = xcalloc(1, sizeof(*journey));
	struct operation operation;

	if (read_operation(answer, &operation)) {
		journey->host = host;
		journey->began = clock_now();
		journey->from = world_host(operation.host);
		for (int i = 0; i < world.n_hosts; i++)
			journey->starts_before[i] = host_start(i);
		snprintf(journey->operation, sizeof(journey->operation), "%s", operation.id);
		snprintf(journey->vm, sizeof(journey->vm), "%s", operation.vm);
		look_again(journey);
	} else {
		free(journey);
	}
	model_clear(&operation_model, &operation);
}

/* Whether one host has heard of all that another one has by now, which is the last digest that it
 * was told: before, it cannot know. */
static bool
has_heard(int host, int other)
{
	struct vm_info_list list = { 0 };
	uint64_t told;
	bool heard;

	inventory_get_list(host_context(other)->inventory, world.hosts[other], "", 1, &list);
	heard = inventory_match(host_context(host)->inventory, world.hosts[other], &told) !=
		    INVENTORY_MATCH_UNKNOWN &&
		told == (uint64_t)list.digest;
	model_clear(&vm_info_list_model, &list);
	return heard;
}

/* Whether a host has taken notice of a VM that libvirt has there: that may take a slow job. */
static bool
has_noticed(int host, const char *uuid)
{
	const struct context *ctx = host_context(host);
	const char *undecided = ctx ? inventory_find_undecided(ctx->inventory, uuid) : NULL;
	const struct inventory_vm *view = ctx ? inventory_find_vm(ctx->inventory, uuid) : NULL;

	return (view && view->local) || str_equal(undecided, world.hosts[host]);
}

/* A VM that there is, and that has been at rest since before the host that is asked was started, is
 * known through any host, or is not known yet. Of one that its own host has not noticed nobody else
 * can know, nor who has not heard from that host since. */
static void
check_known(const struct asked *asked, const struct peer_answer *answer)
{
	const struct world_vm *vm = world_find(asked->vm);
	int at = vm ? world_registered(vm, WORLD_NOBODY) : WORLD_NOBODY;

	if (answer->status == 404 && at != WORLD_NOBODY && vm->rests_since[at] > 0 &&
	    vm->rests_since[at] < host_started(asked->host) &&
	    (at == asked->host || (has_noticed(at, asked->vm) && has_heard(asked->host, at))))
		history_violation("VM %.8s is on h%d, and h%d does not know it", asked->vm, at + 1,
		    asked->host + 1);
}

static void
on_answered(void *arg, const struct peer_answer *answer)
{
	struct asked *asked = arg;

	if (answer) {
		history_add(
		    asked->host, "request %u is answered: %d", asked->number, answer->status);
		check_known(asked, answer);
		if (check_done(asked, answer))
			return;
		if (asked->route == ROUTE_VM_MIGRATE && answer->status == 202)
			follow(asked->host, answer);
	} else {
		history_add(asked->host, "request %u gets no answer", asked->number);
	}
	free(asked);
}

static void
ask(int host, enum route_id id, const char *param, const char *body)
{
	_free_ char *path = route_path(id, param);
	struct server_call call = { .method = routes[id].method,
		.path = path,
		.body = body,
		.len = strlen(body),
		.client = "10.0.1.1" };
	struct asked *asked;

	if (!host_serves(host))
		return;
	asked = xcalloc(1, sizeof(*asked));
	*asked = (struct asked){ .host = host, .number = ++last, .route = id };
	if (routes[id].scope == SCOPE_VM)
		snprintf(asked->vm, sizeof(asked->vm), "%s", param);
	history_add(host, "request %u: %s %s %s", last, method_word(call.method), path, body);
	server_request(host, &call, on_answered, asked);
}

/* A VM that there is; NULL for none. */
static const struct world_vm *
pick_vm(void)
{
	size_t n = 0, at;

	for (size_t i = 0; i < world.n_vms; i++)
		n += world_is_somewhere(&world.vms[i]);
	if (n == 0)
		return NULL;
	n = (size_t)dice_below((int64_t)n);
	for (at = 0; !world_is_somewhere(&world.vms[at]) || n-- > 0;)
		at++;
	return &world.vms[at];
}

static void
create(int host, const struct world_vm *vm)
{
	int number = (int)++last;
	char on[64] = "";
	_free_ char *body = NULL;

	if (dice_permille(300))
		snprintf(
		    on, sizeof(on), "\"host\":\"%s\",", world.hosts[dice_below(world.n_hosts)]);
	body = xasprintf("{%s\"vmdef\":{\"name\":\"vm%d\",\"cpudef\":{\"model\":\"maximum\","
			 "\"sockets\":1,\"cores\":1,\"threads\":1},\"memory\":{\"total\":%d},"
			 "\"osdisk\":{\"path\":\"/vms/ds/vm%d/os.qcow2\",\"man\":1,\"prov\":1,"
			 "\"size\":64},\"firmware\":1}}",
	    on, number, (int)dice_between(256, 8192), number);
	ask(host, ROUTE_VM_CREATE, NULL, body);
}

static void
boot(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_VM_BOOT, vm->uuid, "{}");
}

static void
shut_down(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_VM_SHUTDOWN, vm->uuid,
	    dice_permille(500) ? "{\"force\":0}" : "{\"force\":2}");
}

static void
pause_vm(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_VM_PAUSE, vm->uuid, "");
}

static void
resume(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_VM_RESUME, vm->uuid, "");
}

static void
migrate(int host, const struct world_vm *vm)
{
	bool live = false;
	_free_ char *body = NULL;

	for (int i = 0; i < world.n_hosts; i++)
		live |= vm->domain[i].on;
	body = xasprintf("{\"host\":\"%s\",\"migration_type\":%d}",
	    dice_permille(500) ? "" : world.hosts[dice_below(world.n_hosts)],
	    live ? MIGRATION_TYPE_LIVE : MIGRATION_TYPE_COLD);
	ask(host, ROUTE_VM_MIGRATE, vm->uuid, body);
}

static void delete (int host, const struct world_vm *vm)
{
	ask(host, ROUTE_VM_DELETE, vm->uuid, "{\"deletestorage\":true}");
}

static void
maintain(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_MAINTENANCE_BEGIN, world.hosts[dice_below(world.n_hosts)], "");
}

static void
end_maintenance(int host, const struct world_vm *vm)
{
	ask(host, ROUTE_MAINTENANCE_END, world.hosts[dice_below(world.n_hosts)],
	    dice_permille(500) ? "{\"back\":true}" : "{}");
}

static const struct {
	void (*act)(int host, const struct world_vm *vm);
	bool needs_vm;
	int weight;
} acts[] = {
	{ create, false, 20 },
	{ boot, true, 25 },
	{ shut_down, true, 12 },
	{ pause_vm, true, 4 },
	{ resume, true, 6 },
	{ migrate, true, 20 },
	{ delete, true, 8 },
	{ maintain, false, 2 },
	{ end_maintenance, false, 3 },
};

static void
on_turn(void *arg)
{
	const struct world_vm *vm = pick_vm();
	int64_t at, sum = 0;
	size_t i;

	if (stopped || clock_is_ending())
		return;
	for (i = 0; i < ARRAY_SIZE(acts); i++)
		sum += acts[i].weight;
	at = dice_below(sum);
	for (i = 0; at >= acts[i].weight; i++)
		at -= acts[i].weight;
	if (vm || !acts[i].needs_vm)
		acts[i].act((int)dice_below(world.n_hosts), vm);
	clock_after(dice_between(50, 3000), on_turn, NULL);
}

void
clients_start(void)
{
	stopped = false;
	last = 0;
	clock_after(3000, on_turn, NULL);
}

void
clients_stop(void)
{
	stopped = true;
	/* What was maintained is used again. */
	for (int i = 0; i < world.n_hosts; i++)
		ask(i, ROUTE_MAINTENANCE_END, world.hosts[i], "{}");
}

void
clients_boot_all(void)
{
	for (size_t i = 0; i < world.n_vms; i++) {
		int at = world_registered(&world.vms[i], WORLD_NOBODY);

		if (at != WORLD_NOBODY && host_serves(at) && !is_on(&world.vms[i]))
			ask(at, ROUTE_VM_BOOT, world.vms[i].uuid, "");
	}
}
