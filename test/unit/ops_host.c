/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops_host.h"
#include "ops_time.h"

#include <event2/event.h>

#include "api/api.h"
#include "ops/host_maintenance.h"
#include "ops/sanlock_link.h"

#define START_MS 1000000

struct ops_host here;

/* Jobs */

struct job *__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request,
    const char *vm, const char *operation, job_progress progress, job_done done, void *arg,
    struct error *err);
const char *__wrap_jobs_busy(const struct jobs *jobs, const char *vm);
int __wrap_jobs_check_vm(const struct jobs *jobs, const char *vm, struct error *err);
bool __wrap_jobs_is_stuck(const struct jobs *jobs, enum work_id id);
void __wrap_jobs_set_host(struct jobs *jobs, const char *uuid);

bool
__wrap_jobs_is_stuck(const struct jobs *jobs, enum work_id id)
{
	return here.stuck;
}

void
__wrap_jobs_set_host(struct jobs *jobs, const char *uuid)
{
	snprintf(here.jobs_host, sizeof(here.jobs_host), "%s", uuid);
}

const char *
__wrap_jobs_busy(const struct jobs *jobs, const char *vm)
{
	for (const struct ops_job *job = here.jobs; job; job = job->next) {
		if (job->vm[0] && str_equal(job->vm, vm))
			return job->operation;
	}
	return NULL;
}

int
__wrap_jobs_check_vm(const struct jobs *jobs, const char *vm, struct error *err)
{
	const char *operation = __wrap_jobs_busy(jobs, vm);

	if (!operation)
		return 0;
	error_set(err, 409, "another operation on this VM is under way");
	snprintf(err->operation, sizeof(err->operation), "%s", operation);
	return -1;
}

struct job *
__wrap_job_start(struct jobs *jobs, enum work_id id, const void *request, const char *vm,
    const char *operation, job_progress progress, job_done done, void *arg, struct error *err)
{
	struct ops_job *job, **link = &here.jobs;

	if (here.no_jobs) {
		error_set(err, 503, "too many jobs wait");
		return NULL;
	}
	if (vm && __wrap_jobs_check_vm(jobs, vm, err) < 0)
		return NULL;
	job = xcalloc(1, sizeof(*job));
	*job = (struct ops_job){ .work = id, .progress = progress, .done = done, .arg = arg };
	snprintf(job->vm, sizeof(job->vm), "%s", str_or_empty(vm));
	snprintf(job->operation, sizeof(job->operation), "%s", operation);
	job->request = xcalloc(1, works[id].request->size);
	model_copy(works[id].request, job->request, request);
	while (*link)
		link = &(*link)->next;
	*link = job;
	return (struct job *)job;
}

struct ops_job *
ops_find_job(enum work_id work)
{
	for (struct ops_job *job = here.jobs; job; job = job->next) {
		if (job->work == work)
			return job;
	}
	return NULL;
}

const void *
ops_request_of(enum work_id work)
{
	struct ops_job *job = ops_find_job(work);

	if (!job)
		fail_msg("%s is not under way", works[work].name);
	return job->request;
}

static void
drop_job(struct ops_job *job)
{
	struct ops_job **link = &here.jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	model_clear(works[job->work].request, job->request);
	free(job->request);
	free(job);
}

/* Takes it off the list before it tells: what follows may start another one. */
static void
finish_job(enum work_id work, const void *result, const struct error *err)
{
	struct ops_job *job = ops_find_job(work);
	struct ops_job copy;
	void *own = NULL;

	if (!job)
		fail_msg("%s is not under way", works[work].name);
	copy = *job;
	drop_job(job);
	if (!err) {
		own = xcalloc(1, works[work].result->size);
		if (result)
			model_copy(works[work].result, own, result);
	}
	copy.done(copy.arg, own, err);
	if (own)
		model_clear(works[work].result, own);
	free(own);
}

void
ops_end_job(enum work_id work, const void *result)
{
	finish_job(work, result, NULL);
}

void
ops_fail_job_as(enum work_id work, const struct error *err)
{
	finish_job(work, NULL, err);
}

void
ops_fail_job(enum work_id work, int status, const char *detail)
{
	struct error err = { 0 };

	error_set(&err, status, "%s", detail);
	finish_job(work, NULL, &err);
}

void
ops_progress(enum work_id work, int percent, enum work_stage stage)
{
	struct ops_job *job = ops_find_job(work);

	assert_non_null(job);
	job->progress(job->arg, percent, stage);
}

/* What looks at the host in the background finds all well. */
static void
attend(void)
{
	static const enum work_id background[] = { WORK_STORAGE_CHECK, WORK_LOCKSPACE,
		WORK_LOCKSPACE_WATCH, WORK_WATCHDOG, WORK_SELF_FENCE, WORK_RECONCILE };
	char uuid[] = "50000000-0000-4000-8000-000000000000", root[] = "/vms";
	struct storage_room room = { root, INT64_C(8) << 30, INT64_C(3) << 30 };
	const struct storage_check_result storage = { uuid, &room, 1 };
	const struct lockspace_result lockspace = { 1 };
	const struct watchdog_result watchdog = { NULL, NULL, 1, 1, 10, 60, 3600 };

	for (size_t i = 0; i < ARRAY_SIZE(background) && !here.unattended; i++) {
		if (background[i] != here.answers && ops_find_job(background[i]))
			ops_end_job(background[i],
			    background[i] == WORK_STORAGE_CHECK ? (const void *)&storage
			    : background[i] == WORK_LOCKSPACE	? (const void *)&lockspace
			    : background[i] == WORK_WATCHDOG	? (const void *)&watchdog
								: NULL);
	}
}

void
ops_advance(int64_t ms)
{
	int64_t until = here.now + ms;
	struct event *event;

	event_base_loop(here.ctx.base, EVLOOP_NONBLOCK);
	attend();
	while ((event = ops_time_take(until))) {
		event_get_callback(event)(-1, EV_TIMEOUT, event_get_callback_arg(event));
		event_base_loop(here.ctx.base, EVLOOP_NONBLOCK);
		attend();
	}
	here.now = until;
}

/* sanlock's process */

struct sanlock_link *__wrap_sanlock_link_new(
    struct event_base *base, sanlock_link_ended ended, void *arg);
void __wrap_sanlock_link_free(struct sanlock_link *link);
int __wrap_sanlock_link_check(struct sanlock_link *link, struct error *err);
int32_t __wrap_sanlock_link_number(const struct sanlock_link *link);

struct sanlock_link *
__wrap_sanlock_link_new(struct event_base *base, sanlock_link_ended ended, void *arg)
{
	here.sanlock_ended = ended;
	here.sanlock_arg = arg;
	return NULL;
}

void
__wrap_sanlock_link_free(struct sanlock_link *link)
{
}

int
__wrap_sanlock_link_check(struct sanlock_link *link, struct error *err)
{
	return here.sanlock ? error_set(err, 503, "%s", here.sanlock) : 0;
}

int32_t
__wrap_sanlock_link_number(const struct sanlock_link *link)
{
	return 1;
}

/* Requests */

static void
on_reply(struct request *req, int status, const char *type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	size_t at = 0;

	here.replies++;
	here.status = status;
	free(here.body);
	here.body = body ? xstrndup(body, len) : xstrdup("");
	free(body);
	here.headers[0] = '\0';
	for (size_t i = 0; i < n_headers; i++)
		at += (size_t)snprintf(here.headers + at, sizeof(here.headers) - at, "%s: %s\n",
		    headers[i].name, headers[i].value);
	free(req);
}

struct request *
ops_request(enum route_id route, const char *param, const char *body)
{
	struct request *req = xcalloc(1, sizeof(*req));

	*req = (struct request){ .route = &routes[route],
		.body = body,
		.body_len = strlen(body),
		.client = "192.0.2.9",
		.user = "me",
		.placement = "",
		.placed = "",
		.last_event_id = "",
		.shown = "",
		.shown_names = "",
		.send = on_reply };
	snprintf(req->param, sizeof(req->param), "%s", param);
	return req;
}

const struct operation *
ops_latest(void)
{
	const struct operation_list_fields all = { 0 };
	struct operation_list list = { 0 };
	const struct operation *latest;

	operations_list(here.ctx.operations, &all, NULL, &list);
	latest = list.n_items ? operations_find(here.ctx.operations, list.items[0].id) : NULL;
	free(list.items);
	return latest;
}

const char *
ops_state(const char *operation)
{
	const struct operation *found = operations_find(here.ctx.operations, operation);

	return found ? found->state : "";
}

/* Other hosts, and the daemon */

static int
on_ask(void *arg, struct peer_ask *ask, const char *host, enum method method, const char *path,
    const char *user, const char *body, struct error *err)
{
	struct ops_asked *asked = &here.asked[here.n_asked];

	if (here.unreachable)
		return error_set(err, 503, "serf does not say where host '%s' is", host);
	assert_true(here.n_asked < ARRAY_SIZE(here.asked));
	*asked = (struct ops_asked){ .ask = ask, .method = method };
	snprintf(asked->host, sizeof(asked->host), "%s", host);
	snprintf(asked->path, sizeof(asked->path), "%s", path);
	asked->body = xstrdup(str_or_empty(body));
	here.n_asked++;
	here.asks++;
	return 0;
}

void
ops_answer(int status, const char *body)
{
	struct ops_asked asked = here.asked[0];
	struct error err = { 0 };

	assert_true(here.n_asked > 0);
	here.n_asked--;
	memmove(here.asked, here.asked + 1, here.n_asked * sizeof(asked));
	free(asked.body);
	if (!status)
		error_set(&err, 502, "%s", body);
	asked.ask->answered(
	    asked.ask, status, status ? body : "", status ? strlen(body) : 0, status ? NULL : &err);
}

static void
on_ready(void *arg, struct ready *ret)
{
	ret->libvirt = xstrdup(str_or_empty(here.libvirt));
	ret->serf = xstrdup(str_or_empty(here.serf));
}

static int
on_address(void *arg, const char *other, char *ret, struct error *err)
{
	snprintf(ret, 46, "192.0.2.2");
	return 0;
}

static void
on_announce(void *arg, int64_t since)
{
	here.announced = since;
}

static int
on_known(void *arg, char **ret_missing, struct error *err)
{
	if (!here.missing)
		return error_set(err, 503, "the VMs of the cluster are not known yet");
	*ret_missing = xstrdup(here.missing);
	return 0;
}

static char *
on_behind(void *arg)
{
	return here.behind ? xstrdup(here.behind) : NULL;
}

static void
on_forgotten(void *arg, const char *other)
{
}

static int
on_check_name(void *arg, const char *which, const char *uuid, const char *addr, struct error *err)
{
	if (here.serf)
		return error_set(err, 503, "%s", here.serf);
	return here.taken && strcmp(which, here.taken) == 0
		   ? error_set(err, 409, "'%s' is that of another host", which)
		   : 0;
}

static const struct host_ops host_ops = {
	.ready = on_ready,
	.address = on_address,
	.ask = on_ask,
	.announce = on_announce,
	.known = on_known,
	.behind = on_behind,
	.check_name = on_check_name,
	.forgotten = on_forgotten,
};

static void
on_probed(void *arg, const char *host, const struct error *err)
{
	here.probes++;
	snprintf(here.probed, sizeof(here.probed), "%s", str_or_empty(host));
}

/* The host */

int
ops_setup(void **state)
{
	here = (struct ops_host){ .now = START_MS, .missing = "" };
	config_init(&here.config);
	here.ctx = (struct context){
		.base = event_base_new(),
		.config = &here.config,
		.inventory = inventory_new(),
		.operations = operations_new(),
		.host_ops = &host_ops,
	};
	here.ctx.keeper = keeper_new(here.ctx.base, &here.config, NULL, here.ctx.inventory,
	    here.ctx.operations, on_probed, NULL);
	here.ctx.host_maintenance = host_maintenance_new(&here.ctx);
	return 0;
}

/* As virtxd stops. */
int
ops_teardown(void **state)
{
	struct context *ctx = &here.ctx;

	keeper_free(ctx->keeper);
	while (here.jobs)
		drop_job(here.jobs);
	api_stop(ctx);
	host_maintenance_free(ctx->host_maintenance);
	assert_false(ops_time_has_timers());
	operations_free(ctx->operations);
	inventory_free(ctx->inventory);
	event_base_free(ctx->base);
	config_clear(&here.config);
	for (size_t i = 0; i < here.n_asked; i++)
		free(here.asked[i].body);
	free(here.body);
	return 0;
}

static void
fill_host(struct host_report *report)
{
	report->uuid = xstrdup(SELF);
	report->has_def = true;
	report->def.name = xstrdup("h1");
	report->def.cpuarch = (struct cpuarch){ xstrdup("x86_64"), xstrdup("") };
	report->def.cpudef = (struct cpudef){ xstrdup(""), 1, 1, 4, 2 };
	report->memory_total = report->memory_free = INT64_C(1) << 26;
}

void
ops_start(void)
{
	struct collect_result collected = { 0 };

	fill_host(&collected.host);
	attend();
	keeper_set_libvirt(here.ctx.keeper, true);
	ops_end_job(WORK_COLLECT, &collected);
	model_clear(&collect_result_model, &collected);
	assert_string_equal(here.jobs_host, SELF);
	ops_advance(3000);
	assert_string_equal(keeper_storage_why(here.ctx.keeper), "");
	assert_string_equal(keeper_lockspace_why(here.ctx.keeper), "");
}

void
ops_up(void)
{
	ops_start();
	ops_end_job(WORK_MAINTENANCE_LOAD, NULL);
	assert_null(here.jobs);
}

void
ops_report(const char *vm, enum vmrunstate runstate, struct vm_report *ret)
{
	*ret = (struct vm_report){ .uuid = xstrdup(vm), .runstate = runstate, .has_def = true };
	ret->def.name = xstrdup("vm");
	ret->def.memory.total = 16;
	ret->def.cpudef = (struct cpudef){ xstrdup("maximum"), 1, 1, 1, 1 };
}

void
ops_add_vm(const char *vm, enum vmrunstate runstate)
{
	struct inventory *inventory = here.ctx.inventory;
	struct vm_report report;

	ops_report(vm, runstate, &report);
	inventory_report_vm(inventory, inventory_mark(inventory), true, &report);
	model_clear(&vm_report_model, &report);
}

struct vm_result
ops_result(const char *vm, enum vmrunstate runstate)
{
	struct vm_result res = { 0 };

	ops_report(vm, runstate, &res.vm);
	return res;
}

void
ops_add_host(const char *uuid, const char *name, int32_t memory)
{
	char id[37], text[16], x86[] = "x86_64", empty[] = "";
	struct host_info info = { .uuid = id,
		.fields = { .name = text,
		    .cpuarch = { x86, empty },
		    .cpudef = { empty, 1, 1, 4, 2 },
		    .memoryavailable = memory,
		    .ts = EPOCH_MS + here.now } };
	struct host_digest digest = { 0 };

	snprintf(id, sizeof(id), "%s", uuid);
	snprintf(text, sizeof(text), "%s", name);
	inventory_set_host(here.ctx.inventory, uuid, name, CSTATE_ACTIVE);
	assert_int_equal(inventory_take_host(here.ctx.inventory, &info, &digest), INVENTORY_TAKEN);
}

void
ops_add_remote(const char *vm, const char *host, enum vmrunstate runstate)
{
	char uuid[37], where[37], name[] = "vm";
	struct vm_info info = { .uuid = uuid,
		.host = where,
		.runstate = runstate,
		.ts = EPOCH_MS + here.now + 1, /* after what its host has told */
		.name = name,
		.vcpus = 1 };

	snprintf(uuid, sizeof(uuid), "%s", vm);
	snprintf(where, sizeof(where), "%s", host);
	assert_int_equal(inventory_take_info(here.ctx.inventory, &info), INVENTORY_TAKEN);
}

enum vmrunstate
ops_runstate(const char *vm)
{
	const struct inventory_vm *view = inventory_find_vm(here.ctx.inventory, vm);

	assert_non_null(view);
	return view->vm.runinfo.runstate;
}
