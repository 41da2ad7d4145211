/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which hosts a VM that leaves is offered to, and when the room on them is given up. What is done
 * about an answer is ours to see; operations, jobs and the asking itself are stand-ins. */
#include "ops/migration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops/context.h"
#include "ops/migration_follower.h"
#include "ops/reservation_client.h"
#include "ops/task.h"
#include "state/reservation.h"
#include "work/requests.h"

#define HOSTS 12 /* of the cluster; number 0 is this one */
#define VM    "10000000-0000-4000-8000-000000000001"
#define OP    "b0000000-0000-4000-8000-000000000001"

/* What migration.c did last, and what it is told. */
static struct fixture {
	struct context ctx;
	struct config config;
	const struct task_owner *owner;
	void *owner_arg;
	reservation_client_answered answered; /* NULL while no room is asked for */
	void *answered_arg;
	unsigned int asked, jobs, followed;
	char asked_host[37], job_host[37], target_uri[64], data_uri[64], why[256];
	bool chosen;
	bool no_job;	      /* it cannot be started */
	bool known;	      /* the hosts of the cluster are */
	uint64_t reservation; /* the task's */
	unsigned int given_up, left;
	const char *address;
	char lost[37];	     /* the host whose address is none */
	struct error failed; /* the task was, with this */
	unsigned int ended;
	struct error end; /* status 0: it was done */
	char end_host[37];
} fixture;

struct task *__wrap_task_open(struct context *ctx, enum route_id route, struct request *req,
    const char *user, const char *vm, const struct task_owner *owner, void *arg, struct error *err);
const char *__wrap_task_operation(const struct task *task);
int __wrap_task_work(struct task *task, enum work_id work, const void *request,
    const struct task_place *place, struct error *err);
void __wrap_task_fail(struct task *task, const struct error *err);
int __wrap_task_ready(struct context *ctx, bool leases, struct error *err);
struct reservation_client *__wrap_reservation_client_ask(struct context *ctx,
    const struct reservation_client_need *need, reservation_client_answered answered, void *arg);
void __wrap_reservation_client_end(struct reservation_client *room, bool tell);
void __wrap_migration_follow(struct context *ctx, const char *vm, const char *operation,
    const struct vm_migrate_options *options);

int
__wrap_task_ready(struct context *ctx, bool leases, struct error *err)
{
	assert_true(leases);
	return 0;
}

struct task *
__wrap_task_open(struct context *ctx, enum route_id route, struct request *req, const char *user,
    const char *vm, const struct task_owner *owner, void *arg, struct error *err)
{
	assert_int_equal(route, ROUTE_VM_MIGRATE);
	assert_string_equal(vm, VM);
	assert_string_equal(user, "me");
	if (fixture.owner) {
		error_set(err, 409, "VM '%s' is busy", vm);
		return NULL;
	}
	fixture.owner = owner;
	fixture.owner_arg = arg;
	return (struct task *)&fixture;
}

const char *
__wrap_task_operation(const struct task *task)
{
	return OP;
}

int
__wrap_task_work(struct task *task, enum work_id work, const void *request,
    const struct task_place *place, struct error *err)
{
	const struct vm_migrate_request *migrate = request;

	assert_int_equal(work, WORK_VM_MIGRATE);
	assert_string_equal(migrate->uuid, VM);
	assert_int_not_equal(place->reservation, 0);
	if (fixture.no_job) {
		reservation_cancel(fixture.ctx.inventory, place->reservation);
		return error_set(err, 503, "too many jobs");
	}
	fixture.jobs++;
	fixture.reservation = place->reservation;
	snprintf(fixture.job_host, sizeof(fixture.job_host), "%s", migrate->target);
	snprintf(fixture.target_uri, sizeof(fixture.target_uri), "%s", migrate->target_uri);
	snprintf(fixture.data_uri, sizeof(fixture.data_uri), "%s", migrate->data_uri);
	snprintf(fixture.why, sizeof(fixture.why), "%s", place->why);
	return 0;
}

/* The operation is over: err is NULL where the VM was moved. */
static void
end(const struct error *err)
{
	const struct task_owner *owner = steal_ptr(fixture.owner);

	reservation_cancel(fixture.ctx.inventory, fixture.reservation);
	fixture.reservation = 0;
	owner->ended(fixture.owner_arg, err);
}

void
__wrap_task_fail(struct task *task, const struct error *err)
{
	fixture.failed = *err;
	end(err);
}

struct reservation_client *
__wrap_reservation_client_ask(struct context *ctx, const struct reservation_client_need *need,
    reservation_client_answered answered, void *arg)
{
	assert_null(fixture.answered);
	assert_string_equal(need->vm, VM);
	assert_string_equal(need->operation, OP);
	assert_string_equal(need->user, "me");
	snprintf(fixture.asked_host, sizeof(fixture.asked_host), "%s", need->host);
	fixture.chosen = need->chosen;
	fixture.asked++;
	fixture.answered = answered;
	fixture.answered_arg = arg;
	return (struct reservation_client *)&fixture;
}

void
__wrap_reservation_client_end(struct reservation_client *room, bool tell)
{
	if (!room)
		return;
	if (tell)
		fixture.given_up++;
	else
		fixture.left++;
}

void
__wrap_migration_follow(struct context *ctx, const char *vm, const char *operation,
    const struct vm_migrate_options *options)
{
	fixture.followed++;
}

static int
address(void *arg, const char *host, char *ret, struct error *err)
{
	if (!fixture.address)
		return error_set(err, 503, "no address");
	if (str_equal(fixture.lost, host))
		return error_set(err, 502, "what serf has for it is a loopback address");
	snprintf(ret, 46, "%s", fixture.address);
	return 0;
}

static int
known(void *arg, char **ret_missing, struct error *err)
{
	if (!fixture.known)
		return error_set(err, 503, "the hosts of the cluster are not known yet");
	*ret_missing = xstrdup("");
	return 0;
}

static const struct host_ops host_ops = { .address = address, .known = known };

static const char *
host_uuid(int n)
{
	static char uuids[HOSTS][37];

	snprintf(uuids[n], sizeof(uuids[n]), "a0000000-0000-4000-8000-%012d", n);
	return uuids[n];
}

/* A host tells of itself; the one with the lower number has more memory. */
static void
tell_host(int n)
{
	char uuid[37], name[8], x86[] = "x86_64", empty[] = "";
	struct host_info info = { .uuid = uuid,
		.fields = { .name = name,
		    .cpuarch = { x86, empty },
		    .cpudef = { empty, 1, 1, 4, 2 },
		    .memoryavailable = 64000 >> n,
		    .ts = 1000 } };
	struct host_digest digest = { 0 };

	snprintf(uuid, sizeof(uuid), "%s", host_uuid(n));
	snprintf(name, sizeof(name), "h%d", n);
	inventory_set_host(fixture.ctx.inventory, uuid, name, CSTATE_ACTIVE);
	assert_int_equal(
	    inventory_take_host(fixture.ctx.inventory, &info, &digest), INVENTORY_TAKEN);
}

static int
setup(void **state)
{
	char self[37], name[] = "h0", vm[] = VM, x86[] = "x86_64", empty[] = "";
	static char format[] = "qemu+tls://%s/system";
	struct host_report host = { .uuid = self,
		.has_def = true,
		.def = { .name = name, .cpuarch = { x86, empty }, .cpudef = { empty, 1, 1, 4, 2 } },
		.memory_total = INT64_C(1) << 26,
		.memory_free = INT64_C(1) << 26 };
	struct vm_report report = { .uuid = vm,
		.runstate = VMRUNSTATE_RUNNING,
		.has_def = true,
		.def = { .name = name, .memory = { 16, false }, .cpudef = { empty, 1, 1, 1, 1 } } };

	snprintf(self, sizeof(self), "%s", host_uuid(0));
	fixture = (struct fixture){ .address = "10.0.0.2", .known = true };
	fixture.config.migrate_uri = format;
	fixture.ctx = (struct context){
		.inventory = inventory_new(), .config = &fixture.config, .host_ops = &host_ops
	};
	inventory_report_host(fixture.ctx.inventory, &host);
	inventory_report_vm(
	    fixture.ctx.inventory, inventory_mark(fixture.ctx.inventory), true, &report);
	for (int n = 1; n < HOSTS; n++)
		tell_host(n);
	return 0;
}

/* Whatever became of it, nothing is left. */
static int
teardown(void **state)
{
	assert_true(LIST_EMPTY(&fixture.ctx.migrations));
	assert_null(fixture.owner);
	assert_int_equal(reservation_count(fixture.ctx.inventory), 0);
	inventory_free(fixture.ctx.inventory);
	return 0;
}

static void
on_ended(void *arg, const char *host, const struct error *err)
{
	fixture.ended++;
	fixture.end = err ? *err : (struct error){ 0 };
	snprintf(fixture.end_host, sizeof(fixture.end_host), "%s", host);
}

/* host: the one that is named, or, with why, was chosen; NULL for any. */
static int
begin(const char *host, const char *why, struct error *err)
{
	char uuid[37];
	struct vm_migrate_options options = { .migration_type = MIGRATION_TYPE_LIVE };

	if (host) {
		snprintf(uuid, sizeof(uuid), "%s", host);
		options.host = uuid;
	}
	return migration_begin(&fixture.ctx, VM, &options, why, "me", on_ended, NULL, err) ? 0 : -1;
}

static void
begin_on(const char *host, const char *why)
{
	struct error err = { 0 };

	assert_int_equal(begin(host, why, &err), 0);
}

/* The host that was asked for room has it, or says why not. */
static void
answer(int status, const char *detail)
{
	reservation_client_answered answered = steal_ptr(fixture.answered);
	struct error err = { 0 };

	assert_non_null(answered);
	if (status)
		error_set(&err, status, "%s", detail);
	answered(fixture.answered_arg, status ? &err : NULL);
}

/* The job ends with this, on the word of a host or of nobody (""). */
static bool
fail_job(int status, const char *host)
{
	struct error err = { 0 };

	error_set(&err, status, "it failed");
	snprintf(err.host, sizeof(err.host), "%s", host);
	if (fixture.owner->refused(fixture.owner_arg, &err))
		return true;
	end(&err);
	return false;
}

static void
test_named(void **state)
{
	begin_on(host_uuid(3), "");
	assert_string_equal(fixture.asked_host, host_uuid(3));
	assert_false(fixture.chosen);
	assert_int_equal(reservation_count(fixture.ctx.inventory), 1);
	assert_int_equal(fixture.jobs, 0);

	answer(0, "");
	assert_int_equal(fixture.jobs, 1);
	assert_int_equal(fixture.followed, 1);
	assert_string_equal(fixture.job_host, host_uuid(3));
	assert_string_equal(fixture.target_uri, "qemu+tls://10.0.0.2/system");
	assert_string_equal(fixture.data_uri, "tcp://10.0.0.2");
	assert_string_equal(fixture.why, "");

	/* It is there: the host knows that without being told. */
	end(NULL);
	assert_int_equal(fixture.ended, 1);
	assert_int_equal(fixture.end.status, 0);
	assert_string_equal(fixture.end_host, host_uuid(3));
	assert_int_equal(fixture.left, 1);
	assert_int_equal(fixture.given_up, 0);
}

static void
test_ipv6(void **state)
{
	fixture.address = "fd00::2";
	begin_on(host_uuid(1), "");
	answer(0, "");
	assert_string_equal(fixture.target_uri, "qemu+tls://[fd00::2]/system");
	assert_string_equal(fixture.data_uri, "tcp://[fd00::2]");
	end(NULL);
}

/* The user has named the host: no other one will do. */
static void
test_named_refuses(void **state)
{
	begin_on(host_uuid(1), "");
	answer(422, "it is too full");
	assert_int_equal(fixture.asked, 1);
	assert_int_equal(fixture.ended, 1);
	assert_int_equal(fixture.failed.status, 422);
	assert_string_equal(fixture.failed.detail, "it is too full");
}

static void
test_next_best(void **state)
{
	begin_on(NULL, "");
	assert_string_equal(fixture.asked_host, host_uuid(1));
	assert_true(fixture.chosen);
	answer(422, "it is too full");
	assert_string_equal(fixture.asked_host, host_uuid(2));
	answer(503, "it stops");
	assert_string_equal(fixture.asked_host, host_uuid(3));
	assert_int_equal(reservation_count(fixture.ctx.inventory), 1);
	answer(0, "");
	assert_string_equal(fixture.job_host, host_uuid(3));
	assert_memory_equal(fixture.why, "placed on h3", strlen("placed on h3"));
	end(NULL);
	assert_string_equal(fixture.end_host, host_uuid(3));
	assert_int_equal(fixture.failed.status, 0);
}

/* The host was chosen before: it is asked first, and is not the only one. */
static void
test_chosen_before(void **state)
{
	begin_on(host_uuid(2), "for maintenance");
	assert_string_equal(fixture.asked_host, host_uuid(2));
	assert_true(fixture.chosen);
	answer(422, "it is too full");
	assert_string_equal(fixture.asked_host, host_uuid(1));
	answer(0, "");
	end(NULL);
}

static void
test_all_refuse(void **state)
{
	begin_on(NULL, "");
	while (fixture.answered)
		answer(422, "it is too full");
	assert_int_equal(fixture.asked, 8);
	assert_int_equal(fixture.ended, 1);
	assert_int_equal(fixture.failed.status, 422);
	assert_int_equal(fixture.jobs, 0);
	assert_string_equal(fixture.failed.detail,
	    "8 hosts do not take VM '" VM "'; the last: it refused: it is too full");
	assert_string_equal(fixture.end_host, "");

	/* One of them was about to start. */
	begin_on(NULL, "");
	answer(503, "it starts");
	while (fixture.answered)
		answer(422, "it is too full");
	assert_int_equal(fixture.failed.status, 503);
	assert_string_equal(fixture.end_host, "");
}

/* What the target's libvirt says before anything was done counts as its refusal. */
static void
test_job_is_refused(void **state)
{
	begin_on(NULL, "");
	answer(0, "");
	reservation_cancel(fixture.ctx.inventory, fixture.reservation);
	assert_true(fail_job(422, host_uuid(1)));
	assert_int_equal(fixture.given_up, 1);
	assert_string_equal(fixture.asked_host, host_uuid(2));
	answer(0, "");
	end(NULL);
	assert_int_equal(fixture.left, 1);
}

/* The fault is this host's, or nobody's: no other host is tried, and the room is given up. */
static void
test_fails_here(void **state)
{
	const struct {
		int status;
		int host; /* that says so; -1 for nobody */
	} cases[] = { { 422, 0 }, { 422, -1 }, { 409, 1 }, { 404, -1 }, { 503, 0 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture.given_up = fixture.left = 0;
		begin_on(NULL, "");
		answer(0, "");
		assert_false(
		    fail_job(cases[i].status, cases[i].host < 0 ? "" : host_uuid(cases[i].host)));
		assert_int_equal(fixture.end.status, cases[i].status);
		assert_int_equal(fixture.given_up, 1);
		assert_int_equal(fixture.left, 0);
	}
}

/* The job died without a word: the VM may yet come, so its room stays. */
static void
test_may_come(void **state)
{
	static const int statuses[] = { 500, 503, 504 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct error err = { 0 };

		fixture.given_up = fixture.left = 0;
		begin_on(NULL, "");
		answer(0, "");
		error_set(&err, statuses[i], "the job was killed");
		end(&err);
		assert_int_equal(fixture.left, 1);
		assert_int_equal(fixture.given_up, 0);
	}
}

static void
test_no_job(void **state)
{
	fixture.no_job = true;
	begin_on(NULL, "");
	answer(0, "");
	assert_int_equal(fixture.failed.status, 503);
	assert_int_equal(fixture.given_up, 1);
	assert_int_equal(fixture.left, 0);
}

/* It was deleted, or has left, while a host was asked. */
static void
test_gone_meanwhile(void **state)
{
	begin_on(NULL, "");
	inventory_remove_vm(fixture.ctx.inventory, VM);
	answer(422, "it is too full");
	assert_int_equal(fixture.asked, 1);
	assert_int_equal(fixture.failed.status, 404);
}

static void
test_bad_target(void **state)
{
	struct error err = { 0 };

	assert_int_equal(begin("a0000000-0000-4000-8000-0000000000ff", "", &err), -1);
	assert_int_equal(err.status, 404);
	/* A host that was just started may hear of it yet. */
	fixture.known = false;
	assert_int_equal(begin("a0000000-0000-4000-8000-0000000000ff", "", &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "not known yet"));
	assert_int_equal(begin(host_uuid(0), "", &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "already"));

	inventory_set_host(fixture.ctx.inventory, host_uuid(1), "h1", CSTATE_FAILED);
	assert_int_equal(begin(host_uuid(1), "", &err), -1);
	assert_int_equal(err.status, 503);
	inventory_set_maintenance(fixture.ctx.inventory, host_uuid(2), true);
	assert_int_equal(begin(host_uuid(2), "", &err), -1);
	assert_int_equal(err.status, 422);
	assert_non_null(strstr(err.detail, "maintenance"));

	fixture.address = NULL;
	assert_int_equal(begin(host_uuid(3), "", &err), -1);
	assert_int_equal(err.status, 503);
	assert_int_equal(fixture.asked, 0);
	assert_int_equal(fixture.ended, 0);
}

/* A host that says it is where no other host can be is passed over, or refused by name. */
static void
test_bad_address(void **state)
{
	struct error err = { 0 };

	snprintf(fixture.lost, sizeof(fixture.lost), "%s", host_uuid(3));
	assert_int_equal(begin(host_uuid(3), "", &err), -1);
	assert_int_equal(err.status, 502);
	assert_non_null(strstr(err.detail, "loopback"));

	begin_on(host_uuid(3), "it is the best");
	assert_string_not_equal(fixture.asked_host, host_uuid(3));
	answer(0, "");
	end(NULL);
	assert_string_not_equal(fixture.end_host, host_uuid(3));
}

/* The VM is busy with what has begun before, which goes on. */
static void
test_busy(void **state)
{
	struct error err = { 0 };

	begin_on(NULL, "");
	assert_int_equal(begin(host_uuid(2), "", &err), -1);
	assert_int_equal(err.status, 409);
	assert_int_equal(reservation_count(fixture.ctx.inventory), 1);
	assert_int_equal(fixture.asked, 1);
	answer(0, "");
	end(NULL);
	assert_int_equal(fixture.ended, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_named),
		TEST(test_ipv6),
		TEST(test_named_refuses),
		TEST(test_next_best),
		TEST(test_chosen_before),
		TEST(test_all_refuse),
		TEST(test_job_is_refused),
		TEST(test_fails_here),
		TEST(test_may_come),
		TEST(test_no_job),
		TEST(test_gone_meanwhile),
		TEST(test_bad_target),
		TEST(test_bad_address),
		TEST(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
