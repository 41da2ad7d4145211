/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's part in a cluster, whose members an agent of this loop tells. */
#include "daemon/cluster.h"

#include <event2/event.h>
#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/log.h"
#include "serf_agent.h"

#define SELF  "aaaaaaaa-0000-4000-8000-000000000000"
#define FIRST "bbbbbbbb-0000-4000-8000-000000000000"
#define LATER "cccccccc-0000-4000-8000-000000000000"
#define DAY   INT64_C(86400000)

int64_t __real_monotonic_ms(void);
int64_t __wrap_monotonic_ms(void);

static int64_t late_ms;

int64_t
__wrap_monotonic_ms(void)
{
	return __real_monotonic_ms() + late_ms;
}

struct fixture {
	struct event_base *base;
	struct config config;
	struct agent agent;
	struct inventory *inventory;
	struct peers *peers;
	struct cluster *cluster;
};

static void
start(struct fixture *f)
{
	f->cluster = cluster_new(f->base, &f->config, f->inventory, f->peers, SELF);
	while (!str_empty(cluster_why(f->cluster)))
		event_base_loop(f->base, EVLOOP_ONCE);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct host_report self = { .uuid = (char[]){ SELF }, .has_def = true };

	late_ms = 0;
	log_init(LOG_LEVEL_ERROR, NULL);
	f->base = event_base_new();
	agent_start(&f->agent, f->base);
	config_init(&f->config);
	f->config.serf_port = f->agent.port;
	str_set(&f->config.serf_key, KEY);
	f->inventory = inventory_new();
	inventory_report_host(f->inventory, &self);
	f->peers = peers_new(f->base, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	cluster_free(f->cluster);
	agent_stop(&f->agent);
	peers_free(f->peers);
	inventory_free(f->inventory);
	config_clear(&f->config);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void
pack(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str_with_body(packer, text, strlen(text));
}

/* The agent tells of a member with that uuid, at 127.0.0.N where nobody answers; its event and its
 * status are serf's words. */
static void
tell(struct fixture *f, const char *event, const char *status, const char *uuid, char n)
{
	const char addr[16] = { [10] = '\xff', '\xff', 127, 0, 0, n };
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, 2);
	pack(&packer, "Event");
	pack(&packer, event);
	pack(&packer, "Members");
	msgpack_pack_array(&packer, 1);
	msgpack_pack_map(&packer, 4);
	pack(&packer, "Name");
	pack(&packer, uuid);
	pack(&packer, "Status");
	pack(&packer, status);
	pack(&packer, "Addr");
	msgpack_pack_bin_with_body(&packer, addr, sizeof(addr));
	pack(&packer, "Tags");
	msgpack_pack_map(&packer, 3);
	pack(&packer, "uuid");
	pack(&packer, uuid);
	pack(&packer, "api");
	pack(&packer, "1/http");
	pack(&packer, "virtx");
	pack(&packer, "c/1");
	agent_emit(&f->agent, out.data, out.size);
	msgpack_sbuffer_destroy(&out);
}

/* Runs the loop until the host is in that state; CSTATE_INVALID: until it is not known. */
static void
await(struct fixture *f, const char *uuid, enum cstate cstate)
{
	int64_t end = __real_monotonic_ms() + 20000;
	const struct host *host;
	enum cstate now;

	do {
		struct timeval tv = { .tv_usec = 10000 };

		event_base_loopexit(f->base, &tv);
		event_base_dispatch(f->base);
		host = inventory_find_host(f->inventory, uuid);
		now = host ? host->cstate : CSTATE_INVALID;
	} while (now != cstate && __real_monotonic_ms() < end);
	assert_int_equal(now, cstate);
}

/* What a listing would lack is said, and waited for at first. */
static void
test_waits_for_the_others(void **state)
{
	_free_ char *missing = NULL;
	struct fixture *f = *state;
	struct error err = { 0 };

	f->cluster = cluster_new(f->base, &f->config, f->inventory, f->peers, SELF);
	assert_int_equal(cluster_check(f->cluster, &missing, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "the hosts of the cluster are not known yet"));
	cluster_free(f->cluster);
	start(f);
	tell(f, "member-join", "alive", SELF, 1);
	tell(f, "member-join", "alive", FIRST, 2);
	await(f, FIRST, CSTATE_ACTIVE);
	err = (struct error){ 0 };
	assert_int_equal(cluster_check(f->cluster, &missing, &err), -1);
	assert_int_equal(err.status, 503);
	assert_non_null(strstr(err.detail, "not known yet are the VMs of '" FIRST "'"));
	late_ms = 60000;
	assert_int_equal(cluster_check(f->cluster, &missing, &err), 0);
	assert_non_null(strstr(missing, "not known are the VMs of '" FIRST "'"));
}

/* One that has been away for as long as is configured, and not one that has left since. */
static void
test_forgets_who_is_away(void **state)
{
	struct fixture *f = *state;

	start(f);
	tell(f, "member-failed", "failed", FIRST, 2);
	await(f, FIRST, CSTATE_FAILED);
	late_ms = 7 * DAY;
	tell(f, "member-leave", "left", LATER, 3);
	await(f, LATER, CSTATE_LEFT);
	await(f, FIRST, CSTATE_INVALID);
	await(f, LATER, CSTATE_LEFT);
	/* It may come back. */
	tell(f, "member-join", "alive", FIRST, 2);
	await(f, FIRST, CSTATE_ACTIVE);
}

/* It is no part of a cluster whose other hosts cannot reach it. */
static void
test_listens_on_loopback_alone(void **state)
{
	struct fixture *f = *state;

	start(f);
	tell(f, "member-join", "alive", SELF, 1);
	tell(f, "member-failed", "failed", FIRST, 2);
	await(f, FIRST, CSTATE_FAILED);
	assert_string_equal(cluster_unreachable(f->cluster), "");
	tell(f, "member-join", "alive", FIRST, 2);
	await(f, FIRST, CSTATE_ACTIVE);
	assert_string_equal(
	    cluster_unreachable(f->cluster), "others cannot reach this host: listen on 127.0.0.1");
}

static void
test_listens_for_the_others(void **state)
{
	struct fixture *f = *state;

	str_set(&f->config.listen[0].addr, "0.0.0.0");
	f->config.listen[0].access = ACCESS_OPEN;
	start(f);
	tell(f, "member-join", "alive", SELF, 1);
	tell(f, "member-join", "alive", FIRST, 2);
	await(f, FIRST, CSTATE_ACTIVE);
	assert_string_equal(cluster_unreachable(f->cluster), "");
}

/* Until so many requests for tags have come. */
static void
await_tags(struct fixture *f, int n)
{
	int64_t end = __real_monotonic_ms() + 20000;

	while (f->agent.n_tags < n && __real_monotonic_ms() < end) {
		struct timeval tv = { .tv_usec = 10000 };

		event_base_loopexit(f->base, &tv);
		event_base_dispatch(f->base);
	}
	assert_int_equal(f->agent.n_tags, n);
}

/* What this host tells of its leases is a tag, which is set where it is another one. */
static void
test_tells_that_it_is_armed(void **state)
{
	const struct host_ha armed = { true, 7, 3, 10, 60 }, again = { true, 7, 4, 10, 60 };
	struct fixture *f = *state;

	f->config.ha_enabled = true;
	start(f);
	await_tags(f, 1);
	inventory_set_ha(f->inventory, SELF, &armed);
	await_tags(f, 2);
	inventory_set_ha(f->inventory, SELF, &armed);
	inventory_set_watchdog(f->inventory, SELF, WATCHDOG_ON);
	await_tags(f, 3);
	inventory_set_ha(f->inventory, SELF, &again);
	await_tags(f, 4);
	inventory_set_ha(f->inventory, SELF, &(struct host_ha){ 0 });
	await_tags(f, 5);
}

/* One that takes nothing over says so, while it is armed. */
static void
test_tells_that_it_is_off(void **state)
{
	const struct host_ha armed = { true, 7, 3, 10, 60 };
	struct fixture *f = *state;

	f->config.ha_enabled = false;
	start(f);
	await_tags(f, 1);
	assert_false(inventory_is_ha_off(f->inventory, SELF));
	inventory_set_ha(f->inventory, SELF, &armed);
	await_tags(f, 3);
	assert_true(inventory_is_ha_off(f->inventory, SELF));
	f->config.ha_enabled = true;
	cluster_reload(f->cluster);
	await_tags(f, 4);
	assert_false(inventory_is_ha_off(f->inventory, SELF));
	cluster_reload(f->cluster);
	f->config.ha_enabled = false;
	cluster_reload(f->cluster);
	await_tags(f, 5);
	assert_true(inventory_is_ha_off(f->inventory, SELF));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_for_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgets_who_is_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listens_on_loopback_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listens_for_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tells_that_it_is_armed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tells_that_it_is_off, setup, teardown),
	};

	return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
