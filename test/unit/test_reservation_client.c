/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What another host is asked, and when, for a VM that goes there. */
#include "ops/reservation_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "ops/context.h"
#include "proto/json.h"
#include "proto/problem.h"

#define HOST "a0000000-0000-4000-8000-000000000001"
#define VM   "10000000-0000-4000-8000-000000000001"
#define OP   "b0000000-0000-4000-8000-000000000001"

struct fixture {
	struct context ctx;
	struct peer_ask *ask; /* that waits for its answer */
	enum method method;
	char path[128];
	bool renew;
	unsigned int asked;
	bool unreachable;
	unsigned int answered;
	struct error err; /* of the last answer */
};

static int
fake_ask(void *arg, struct peer_ask *ask, const char *host, enum method method, const char *path,
    const char *user, const char *body, struct error *err)
{
	struct fixture *f = arg;
	struct vm_reservation reservation = { 0 };
	struct error ignored;

	assert_null(f->ask);
	assert_string_equal(host, HOST);
	assert_string_equal(user, "me");
	f->asked++;
	f->method = method;
	snprintf(f->path, sizeof(f->path), "%s", path);
	/* What has fewer fields is read by the same table. */
	assert_int_equal(
	    json_decode(&vm_reservation_model, body, strlen(body), &reservation, &ignored), 0);
	assert_string_equal(reservation.host, HOST);
	assert_string_equal(reservation.operation, OP);
	if (method == METHOD_PUT)
		assert_int_equal(reservation.memory.total, 512);
	f->renew = reservation.renew;
	model_clear(&vm_reservation_model, &reservation);
	if (f->unreachable)
		return error_set(err, 503, "nobody knows where it is");
	f->ask = ask;
	return 0;
}

static const struct host_ops host_ops = { .ask = fake_ask };

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->ctx = (struct context){
		.base = event_base_new(),
		.inventory = inventory_new(),
		.host_ops = &host_ops,
		.host_arg = f,
	};
	inventory_set_host(f->ctx.inventory, HOST, "h2", CSTATE_ACTIVE);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	reservation_clients_free(&f->ctx);
	inventory_free(f->ctx.inventory);
	event_base_free(f->ctx.base);
	free(f);
	return 0;
}

static void
on_answered(void *arg, const struct error *err)
{
	struct fixture *f = arg;

	f->answered++;
	f->err = err ? *err : (struct error){ 0 };
}

static struct reservation_client *
ask(struct fixture *f)
{
	char name[] = "web";
	struct vmdef def = { .name = name, .memory = { 512, false } };
	struct reservation_client_need need = {
		.host = HOST, .vm = VM, .operation = OP, .user = "me", .def = &def
	};

	return reservation_client_ask(&f->ctx, &need, on_answered, f);
}

static void
answer(struct fixture *f, int status, const char *detail)
{
	struct peer_ask *waiting = steal_ptr(f->ask);
	struct error err = { 0 };
	_free_ char *body = NULL;
	size_t len = 0;

	assert_non_null(waiting);
	error_set(&err, status ? status : 502, "%s", detail);
	body = problem_encode(&err, &len);
	waiting->answered(
	    waiting, status, status ? body : "", status ? len : 0, status ? NULL : &err);
}

static void
test_held(void **state)
{
	struct fixture *f = *state;
	struct reservation_client *room = ask(f);

	assert_int_equal(f->answered, 0);
	assert_int_equal(f->method, METHOD_PUT);
	assert_string_equal(f->path, "/vms/" VM "/reservation");
	assert_false(f->renew);
	answer(f, 204, "");
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->err.status, 0);
	assert_null(f->ask);

	reservation_client_end(room, true);
	assert_int_equal(f->method, METHOD_DELETE);
	answer(f, 204, "");
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
	assert_int_equal(f->answered, 1);
}

/* The VM is there: nobody is told. */
static void
test_arrived(void **state)
{
	struct fixture *f = *state;
	struct reservation_client *room = ask(f);

	answer(f, 204, "");
	reservation_client_end(room, false);
	assert_int_equal(f->asked, 1);
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
}

static void
test_refused(void **state)
{
	struct fixture *f = *state;

	ask(f);
	answer(f, 422, "it is full");
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->err.status, 422);
	assert_string_equal(f->err.detail, "it is full");
	assert_int_equal(f->asked, 1);
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
}

/* No answer: the host may have kept it all the same, and is told. */
static void
test_silent(void **state)
{
	struct fixture *f = *state;

	ask(f);
	answer(f, 0, "no answer in 10 s");
	assert_int_equal(f->err.status, 503);
	assert_non_null(strstr(f->err.detail, "'h2' (" HOST ")"));
	assert_non_null(strstr(f->err.detail, "no answer in 10 s"));
	assert_int_equal(f->method, METHOD_DELETE);
	answer(f, 0, "no answer in 10 s");
	assert_int_equal(f->answered, 1);
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
}

/* It cannot be asked: that is said later. */
static void
test_unreachable(void **state)
{
	struct fixture *f = *state;

	f->unreachable = true;
	ask(f);
	assert_int_equal(f->answered, 0);
	event_base_loop(f->ctx.base, EVLOOP_ONCE);
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->err.status, 503);
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
}

/* One that does not know of rooms takes the VM. */
static void
test_unknown(void **state)
{
	static const int statuses[] = { 404, 405, 501 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct reservation_client *room = ask(f);

		answer(f, statuses[i], "what?");
		assert_int_equal(f->answered, i + 1);
		assert_int_equal(f->err.status, 0);
		reservation_client_end(room, true);
		assert_int_equal(f->method, METHOD_PUT);
		assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
	}
}

/* The Go virtx has told of itself, without a digest: it is not even asked. */
static void
test_go(void **state)
{
	struct fixture *f = *state;
	char uuid[] = HOST, name[] = "h2";
	struct host_info info = { .uuid = uuid,
		.fields = { .name = name, .cpudef = { .nodes = 1 }, .ts = 1 } };

	assert_int_equal(inventory_take_host(f->ctx.inventory, &info, NULL), INVENTORY_TAKEN);
	ask(f);
	assert_int_equal(f->answered, 0);
	event_base_loop(f->ctx.base, EVLOOP_ONCE);
	assert_int_equal(f->answered, 1);
	assert_int_equal(f->err.status, 0);
	assert_int_equal(f->asked, 0);
}

/* Ended while it is asked for: given up when that is answered. */
static void
test_ended_early(void **state)
{
	struct fixture *f = *state;

	reservation_client_end(ask(f), true);
	assert_int_equal(f->asked, 1);
	answer(f, 204, "");
	assert_int_equal(f->method, METHOD_DELETE);
	assert_int_equal(f->answered, 0);
	answer(f, 503, "");
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));

	reservation_client_end(ask(f), true);
	answer(f, 422, "full");
	assert_true(LIST_EMPTY(&f->ctx.reservation_clients));
	assert_int_equal(f->answered, 0);
	/* virtxd stops meanwhile. */
	ask(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arrived, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended_early, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
