/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of VMs, to requests that only keep what they are answered. */
#include "api/list_reply.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"

#define HOSTS	 4
#define VMS	 6000 /* two lists of them are a turn's work */
#define REQUESTS 20

struct kept {
	struct request req;
	int status;
	size_t n_items;
};

struct fixture {
	struct event_base *base;
	struct inventory *inventory;
	struct list_replies *list_replies;
	struct kept kept[REQUESTS];
};

static void
kept_send(struct request *req, int status, const char *content_type, char *body, size_t len,
    const struct request_header *headers, size_t n_headers)
{
	struct kept *k = (struct kept *)req;
	struct vm_list list = { 0 };
	struct error err = { 0 };

	assert_int_equal(k->status, 0);
	k->status = status;
	if (status == 200) {
		assert_int_equal(json_decode(&vm_list_model, body, len, &list, &err), 0);
		k->n_items = list.n_items;
		model_clear(&vm_list_model, &list);
	}
	free(body);
}

static char *
host_uuid(int n)
{
	return xasprintf("00000000-0000-4000-8000-%012d", n);
}

static void
add_vms(struct fixture *f, int from, int to)
{
	for (int i = from; i < to; i++) {
		_free_ char *uuid = xasprintf("10000000-0000-4000-8000-%012d", i);
		_free_ char *host = host_uuid(i % HOSTS);
		struct vm_info info = { .uuid = uuid,
			.host = host,
			.runstate = VMRUNSTATE_RUNNING,
			.ts = 1000,
			.name = (char[]){ "web" } };

		assert_int_equal(inventory_take_info(f->inventory, &info), INVENTORY_TAKEN);
	}
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->base = event_base_new();
	f->inventory = inventory_new();
	for (int i = 0; i < HOSTS; i++) {
		_free_ char *uuid = host_uuid(i);

		inventory_set_host(f->inventory, uuid, "h", CSTATE_ACTIVE);
	}
	f->list_replies = list_replies_new(f->base, f->inventory);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	list_replies_free(f->list_replies);
	inventory_free(f->inventory);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void
ask(struct fixture *f, int i)
{
	struct vm_list_options options = { 0 };
	struct list_page page = { 0 };

	f->kept[i].req.send = kept_send;
	list_reply_send(f->list_replies, &f->kept[i].req, &options, &page, "");
}

static unsigned int
count_answered(const struct fixture *f)
{
	unsigned int n = 0;

	for (int i = 0; i < REQUESTS; i++)
		n += f->kept[i].status != 0;
	return n;
}

static void
test_short(void **state)
{
	struct fixture *f = *state;

	add_vms(f, 0, 3);
	for (int i = 0; i < REQUESTS; i++) {
		ask(f, i);
		assert_int_equal(f->kept[i].status, 200);
		assert_int_equal(f->kept[i].n_items, 3);
	}
}

/* Those that wait see what there is when their turn comes; who has gone is passed over. */
static void
test_many(void **state)
{
	struct fixture *f = *state;

	add_vms(f, 0, VMS);
	for (int i = 0; i < REQUESTS; i++)
		ask(f, i);
	assert_int_equal(count_answered(f), 2);
	f->kept[2].req.watch->gone(f->kept[2].req.watch_arg);
	f->kept[REQUESTS - 1].req.watch->gone(f->kept[REQUESTS - 1].req.watch_arg);
	assert_int_equal(count_answered(f), 4);
	add_vms(f, VMS, VMS + 1);
	/* Others have their turns in between. */
	for (unsigned int n = count_answered(f); n < REQUESTS; n += 2) {
		event_base_loop(f->base, EVLOOP_ONCE);
		assert_int_equal(count_answered(f), n + 2);
	}
	for (int i = 0; i < REQUESTS; i++) {
		bool gone = i == 2 || i == REQUESTS - 1;

		assert_int_equal(f->kept[i].status, gone ? 499 : 200);
		/* The first ones were answered before there was one more. */
		if (!gone)
			assert_int_equal(f->kept[i].n_items, i < 2 ? VMS : VMS + 1);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
