/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/members.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SELF  "aaaaaaaa-0000-4000-8000-000000000000"
#define OTHER "bbbbbbbb-0000-4000-8000-000000000000"
#define THIRD "cccccccc-0000-4000-8000-000000000000"

struct seen {
	int n;
	struct member_host last;
};

static void
on_changed(void *arg, const struct member_host *host)
{
	struct seen *seen = arg;

	seen->n++;
	seen->last = *host;
}

static void
free_tag(struct serf_tag *tag)
{
	free(tag->key);
	free(tag->value);
}

static void
set(struct members *members, const char *name, const char *addr, enum cstate cstate,
    const char *uuid, const char *api, const char *virtx)
{
	struct serf_tag tags[3];
	struct serf_member member = { .port = 7946, .cstate = cstate, .tags = tags };

	member.name = xstrdup(name);
	snprintf(member.addr, sizeof(member.addr), "%s", addr);
	if (uuid)
		tags[member.n_tags++] = (struct serf_tag){ xstrdup("uuid"), xstrdup(uuid) };
	if (api)
		tags[member.n_tags++] = (struct serf_tag){ xstrdup("api"), xstrdup(api) };
	if (virtx)
		tags[member.n_tags++] = (struct serf_tag){ xstrdup("virtx"), xstrdup(virtx) };
	members_set(members, &member);
	for (size_t i = 0; i < member.n_tags; i++)
		free_tag(&tags[i]);
	free(member.name);
}

static void
test_hosts(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	set(members, "self", "10.0.0.1", CSTATE_ACTIVE, SELF, "8080/http", "c/1");
	assert_int_equal(seen.n, 0);
	assert_null(members_find(members, SELF));
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, "8443/https", "c/1");
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.last.uuid, OTHER);
	assert_string_equal(seen.last.addr, "10.0.0.2");
	assert_int_equal(seen.last.port, 8443);
	assert_int_equal(seen.last.serf_port, 7946);
	assert_true(seen.last.tls && !seen.last.go);
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, "8443/https", "c/1");
	assert_int_equal(seen.n, 1);
	set(members, "b", "10.0.0.2", CSTATE_FAILED, OTHER, "8443/https", "c/1");
	assert_int_equal(seen.n, 2);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_FAILED);
	assert_ptr_equal(members_find_failed(members, 5), members_find(members, OTHER));
	assert_int_equal(members_count(members), 2);
	assert_int_equal(members_count_active(members), 1);
	set(members, "b", "10.0.0.9", CSTATE_ACTIVE, OTHER, NULL, NULL);
	assert_string_equal(seen.last.addr, "10.0.0.9");
	assert_int_equal(seen.last.port, 8080);
	assert_true(seen.last.go && members_any_go(members));
	assert_null(members_find_failed(members, 0));
	assert_int_equal(members_count_active(members), 2);
	members_free(members);
}

static void
test_maintenance(void **state)
{
	struct serf_tag tags[] = { { (char[]){ "uuid" }, (char[]){ OTHER } },
		{ (char[]){ "maintenance" }, (char[]){ "1700000000000" } } };
	struct serf_member member = { .name = (char[]){ "b" },
		.addr = "10.0.0.2",
		.cstate = CSTATE_ACTIVE,
		.tags = tags,
		.n_tags = ARRAY_SIZE(tags) };
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	members_set(members, &member);
	assert_true(seen.n == 1 && seen.last.maintenance);
	member.n_tags = 1;
	members_set(members, &member);
	assert_true(seen.n == 2 && !seen.last.maintenance);
	members_free(members);
}

/* What is no word of it, or not there, is not known. */
static void
test_watchdog(void **state)
{
	static const struct {
		const char *tag;
		enum watchdog watchdog;
	} rows[] = {
		{ "on", WATCHDOG_ON },
		{ "off", WATCHDOG_OFF },
		{ "of", WATCHDOG_UNKNOWN },
		{ "off", WATCHDOG_OFF },
		{ "", WATCHDOG_UNKNOWN },
		{ "on", WATCHDOG_ON },
		{ NULL, WATCHDOG_UNKNOWN },
	};
	struct serf_tag tags[] = { { (char[]){ "uuid" }, (char[]){ OTHER } },
		{ (char[]){ "watchdog" }, NULL } };
	struct serf_member member = {
		.name = (char[]){ "b" }, .addr = "10.0.0.2", .cstate = CSTATE_ACTIVE, .tags = tags
	};
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *value = rows[i].tag ? xstrdup(rows[i].tag) : NULL;

		tags[1].value = value;
		member.n_tags = value ? 2 : 1;
		members_set(members, &member);
		assert_int_equal(seen.n, i + 1);
		assert_int_equal(seen.last.watchdog, rows[i].watchdog);
	}
	members_free(members);
}

/* What is no such text, or not there, is a host that is not armed; so is one that runs the Go
 * virtx, which the agent may have a tag of. What a host that has failed was stays known. */
static void
test_ha(void **state)
{
	static const struct {
		const char *tag, *virtx;
		enum cstate cstate;
		bool armed;
		uint64_t generation;
	} rows[] = {
		{ "7:3:10:60", "c/1", CSTATE_ACTIVE, true, 3 },
		{ "7:4:10:60", "c/1", CSTATE_ACTIVE, true, 4 },
		{ "7:4:10:60", "c/1", CSTATE_FAILED, true, 4 },
		{ "7:4:10", "c/1", CSTATE_FAILED, false, 0 },
		{ "7:5:10:60", "c/1", CSTATE_ACTIVE, true, 5 },
		{ "7:5:10:60", "", CSTATE_ACTIVE, false, 0 },
		{ "7:5:10:60", "c/1", CSTATE_ACTIVE, true, 5 },
		{ NULL, "c/1", CSTATE_ACTIVE, false, 0 },
	};
	struct serf_tag tags[] = { { (char[]){ "uuid" }, (char[]){ OTHER } },
		{ (char[]){ "virtx" }, NULL }, { (char[]){ "ha" }, NULL } };
	struct serf_member member = { .name = (char[]){ "b" }, .addr = "10.0.0.2", .tags = tags };
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *virtx = xstrdup(rows[i].virtx);
		_free_ char *value = rows[i].tag ? xstrdup(rows[i].tag) : NULL;

		tags[1].value = virtx;
		tags[2].value = value;
		member.cstate = rows[i].cstate;
		member.n_tags = value ? 3 : 2;
		members_set(members, &member);
		assert_int_equal(seen.n, i + 1);
		assert_int_equal(seen.last.ha.armed, rows[i].armed);
		assert_true(seen.last.ha.generation == rows[i].generation);
	}
	members_free(members);
}

/* Nobody knows which of the two the tag is of. */
static void
test_ha_of_twins(void **state)
{
	struct serf_tag tags[] = { { (char[]){ "uuid" }, (char[]){ OTHER } },
		{ (char[]){ "virtx" }, (char[]){ "c/1" } },
		{ (char[]){ "ha" }, (char[]){ "7:3:10:60" } },
		{ (char[]){ "ha_off" }, (char[]){ "1" } } };
	struct serf_member member = { .name = (char[]){ "b" },
		.addr = "10.0.0.2",
		.cstate = CSTATE_ACTIVE,
		.tags = tags,
		.n_tags = ARRAY_SIZE(tags) };
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	members_set(members, &member);
	assert_true(members_find(members, OTHER)->ha_off);
	member.n_tags--;
	members_set(members, &member);
	assert_int_equal(seen.n, 2);
	assert_false(members_find(members, OTHER)->ha_off);
	assert_true(members_find(members, OTHER)->ha.armed);
	set(members, "c", "10.0.0.3", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_string_equal(members_find(members, OTHER)->twin, "c");
	assert_false(members_find(members, OTHER)->ha.armed);
	set(members, "c", "10.0.0.3", CSTATE_LEFT, OTHER, NULL, "c/1");
	assert_true(members_find(members, OTHER)->ha.armed);
	members_free(members);
}

static void
test_no_hosts(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);
	char name[200];

	set(members, "x", "10.0.0.2", CSTATE_ACTIVE, NULL, NULL, NULL);
	set(members, "y", "10.0.0.2", CSTATE_ACTIVE, "nonsense", NULL, NULL);
	set(members, "z", "10.0.0.2", CSTATE_ACTIVE, SELF, NULL, NULL);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	set(members, name, "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, NULL);
	assert_int_equal(seen.n, 0);
	assert_int_equal(members_count_active(members), 1);
	assert_false(members_any_go(members));
	members_free(members);
}

static void
test_names(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	assert_false(members_has_name(members, "h2"));
	set(members, "h1", "10.0.0.1", CSTATE_ACTIVE, SELF, NULL, NULL);
	set(members, "H2.example", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, NULL);
	assert_true(members_has_name(members, "h1"));
	assert_true(members_has_name(members, "h2.EXAMPLE"));
	assert_false(members_has_name(members, "h2"));
	assert_false(members_has_name(members, ""));
	/* Another host than the one that asks; one without a uuid may be its own agent. */
	assert_string_equal(members_other(members, "H1", THIRD, "10.0.0.9"), "h1");
	assert_string_equal(members_other(members, "10.0.0.2", THIRD, "10.0.0.9"), "H2.example");
	assert_null(members_other(members, "h2.example", OTHER, "10.0.0.9"));
	assert_null(members_other(members, "h3", THIRD, "10.0.0.9"));
	set(members, "h3", "10.0.0.3", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_null(members_other(members, "h3", THIRD, "10.0.0.3"));
	assert_string_equal(members_other(members, "h3", THIRD, "10.0.0.9"), "h3");
	members_free(members);
}

static void
test_addresses(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);
	struct tokens *tokens = tokens_new();

	assert_string_equal(members_own_address(members), "");
	set(members, "h1", "10.0.0.1", CSTATE_ACTIVE, SELF, NULL, NULL);
	set(members, "h2", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, NULL);
	set(members, "stranger", "10.0.0.3", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_string_equal(members_own_address(members), "10.0.0.1");
	assert_true(members_has_address(members, "10.0.0.1", NULL));
	assert_true(members_has_address(members, "10.0.0.2", NULL));
	assert_false(members_has_address(members, "10.0.0.3", NULL));
	assert_false(members_has_address(members, "10.0.0.20", NULL));
	/* Whoever has been put out is no host by its address either. */
	tokens_put_out(tokens, OTHER, true);
	assert_true(members_has_address(members, "10.0.0.1", tokens));
	assert_false(members_has_address(members, "10.0.0.2", tokens));
	tokens_free(tokens);
	set(members, "h2", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, NULL);
	assert_false(members_has_address(members, "10.0.0.2", NULL));
	members_free(members);
}

static void
test_renamed(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	set(members, "old", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "old", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, "c/1");
	set(members, "new", "10.0.0.3", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_string_equal(members_find(members, OTHER)->name, "new");
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_ACTIVE);
	assert_string_equal(members_find(members, OTHER)->addr, "10.0.0.3");
	/* What becomes of the old one does not matter any more. */
	seen.n = 0;
	set(members, "old", "10.0.0.2", CSTATE_LEFT, OTHER, NULL, "c/1");
	assert_int_equal(seen.n, 0);
	members_free(members);
}

/* Of two that say they are one host, the one that was there first is believed, until it fails. */
static void
test_double(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	set(members, "first", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	members_complete(members);
	set(members, "second", "10.0.0.3", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_string_equal(members_find(members, OTHER)->name, "first");
	assert_string_equal(members_find(members, OTHER)->addr, "10.0.0.2");
	assert_string_equal(members_find(members, OTHER)->twin, "second");
	assert_int_equal(seen.n, 2);
	set(members, "first", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, "c/1");
	assert_string_equal(members_find(members, OTHER)->name, "second");
	assert_string_equal(members_find(members, OTHER)->twin, "");
	members_free(members);
}

/* After a start nobody knows which was first. */
static void
test_double_at_start(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	set(members, "self", "10.0.0.1", CSTATE_ACTIVE, SELF, NULL, "c/1");
	set(members, "one", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "two", "10.0.0.3", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	members_complete(members);
	assert_string_equal(members_find(members, OTHER)->addr, "");
	assert_string_not_equal(members_find(members, OTHER)->twin, "");
	assert_string_equal(members_twin(members), "");
	/* One of them gets a uuid of its own. */
	set(members, "one", "10.0.0.2", CSTATE_ACTIVE, THIRD, NULL, "c/1");
	assert_string_equal(members_find(members, OTHER)->addr, "10.0.0.3");
	assert_string_equal(members_find(members, OTHER)->twin, "");
	assert_string_equal(members_find(members, THIRD)->addr, "10.0.0.2");
	set(members, "clone", "10.0.0.4", CSTATE_ACTIVE, SELF, NULL, "c/1");
	assert_string_equal(members_twin(members), "clone");
	set(members, "clone", "10.0.0.4", CSTATE_LEFT, SELF, NULL, "c/1");
	assert_string_equal(members_twin(members), "");
	members_free(members);
}

static void
count_host(void *arg, const struct member_host *host)
{
	++*(unsigned int *)arg;
}

/* What is forgotten stays so until it is back. */
static void
test_forget(void **state)
{
	unsigned int n = 0;
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);
	char uuid[UUID_TEXT_SIZE];

	set(members, "one", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, "c/1");
	members_each(members, count_host, &n);
	assert_int_equal(n, 1);
	assert_true(members_has_host(members, OTHER));
	members_forget(members, OTHER);
	assert_false(members_has_host(members, OTHER));
	assert_null(members_find_failed(members, 0));
	members_each(members, count_host, &n);
	assert_int_equal(n, 1);
	assert_int_equal(seen.n, 1);
	set(members, "one", "10.0.0.3", CSTATE_FAILED, OTHER, NULL, "c/1");
	set(members, "one", "10.0.0.3", CSTATE_LEFT, OTHER, NULL, "c/1");
	assert_int_equal(seen.n, 1);
	set(members, "one", "10.0.0.3", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_int_equal(seen.n, 2);
	assert_true(members_has_host(members, OTHER));
	/* One member with one uuid after the other. */
	for (unsigned int i = 0; i < 3000; i++) {
		snprintf(uuid, sizeof(uuid), "11111111-0000-4000-8000-%012x", i);
		set(members, "two", "10.0.0.4", CSTATE_ACTIVE, uuid, NULL, "c/1");
	}
	assert_non_null(members_find(members, OTHER));
	assert_int_equal(members_count_active(members), 3);
	members_each(members, count_host, &n);
	assert_int_equal(n, 3);
	members_free(members);
}

static void
test_tags_change(void **state)
{
	struct seen seen = { 0 };
	struct members *members = members_new(SELF, on_changed, &seen);

	/* An agent that was started anew has no tags at first. */
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_FAILED);
	assert_false(members_any_go(members));
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, THIRD, NULL, "c/1");
	assert_null(members_find(members, OTHER));
	assert_int_equal(members_find(members, THIRD)->cstate, CSTATE_ACTIVE);
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_ACTIVE);
	assert_null(members_find(members, THIRD));
	members_free(members);
}

struct told {
	unsigned int fresh, over; /* hosts that came, and that are no more */
};

static void
on_told(void *arg, const struct member_host *host)
{
	struct told *told = arg;

	told->fresh += host->cstate == CSTATE_ACTIVE;
	told->over += host->cstate == CSTATE_INVALID;
}

/* A host that was switched off and on is the same one in between. */
static void
test_agent_started_anew(void **state)
{
	struct told told = { 0 };
	struct members *members = members_new(SELF, on_told, &told);

	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_FAILED);
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_ACTIVE);
	assert_int_equal(told.fresh, 2);
	assert_int_equal(told.over, 0);
	members_free(members);
}

/* One that has left is not said to have failed while it boots. */
static void
test_agent_started_anew_after_leaving(void **state)
{
	struct told told = { 0 };
	struct members *members = members_new(SELF, on_told, &told);

	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_LEFT, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_LEFT);
	set(members, "b", "10.0.0.2", CSTATE_FAILED, NULL, NULL, NULL);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_LEFT);
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_ACTIVE);
	/* Without a word that it leaves it has failed. */
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, NULL, NULL, NULL);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_FAILED);
	assert_int_equal(told.over, 0);
	members_free(members);
}

/* Of one member that takes one uuid after the other, with or without one in between, one host is
 * left; a host that has failed stays. */
static void
test_uuids_without_end(void **state)
{
	struct told told = { 0 };
	struct members *members = members_new(SELF, on_told, &told);
	char uuid[UUID_TEXT_SIZE];
	unsigned int n = 0;

	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	set(members, "b", "10.0.0.2", CSTATE_FAILED, OTHER, NULL, "c/1");
	for (unsigned int i = 0; i < 3000; i++) {
		snprintf(uuid, sizeof(uuid), "11111111-0000-4000-8000-%012x", i);
		set(members, "liar", "10.0.0.3", i % 3 ? CSTATE_ACTIVE : CSTATE_FAILED, uuid, NULL,
		    "c/1");
		if (i % 2)
			set(members, "liar", "10.0.0.3", CSTATE_ACTIVE, NULL, NULL, NULL);
	}
	members_each(members, count_host, &n);
	assert_int_equal(n, 2);
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_FAILED);
	assert_int_equal(told.over, 2999);
	members_free(members);
}

/* One that takes one name after the other does not keep out who comes then. */
static void
test_names_without_end(void **state)
{
	struct told told = { 0 };
	struct members *members = members_new(SELF, on_told, &told);
	char uuid[UUID_TEXT_SIZE], name[32];
	unsigned int n = 0;

	set(members, "c", "10.0.0.4", CSTATE_ACTIVE, THIRD, NULL, "c/1");
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(uuid, sizeof(uuid), "11111111-0000-4000-8000-%012x", i);
		snprintf(name, sizeof(name), "liar%u", i);
		set(members, name, "10.0.0.3", CSTATE_ACTIVE, uuid, NULL, "c/1");
		set(members, name, "10.0.0.3", CSTATE_LEFT, uuid, NULL, "c/1");
	}
	set(members, "b", "10.0.0.2", CSTATE_ACTIVE, OTHER, NULL, "c/1");
	assert_int_equal(members_find(members, OTHER)->cstate, CSTATE_ACTIVE);
	assert_int_equal(members_find(members, THIRD)->cstate, CSTATE_ACTIVE);
	assert_int_equal(members_count_active(members), 3);
	members_each(members, count_host, &n);
	assert_int_equal(n, 1024);
	members_free(members);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_ha),
		cmocka_unit_test(test_ha_of_twins),
		cmocka_unit_test(test_no_hosts),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_double),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_double_at_start),
		cmocka_unit_test(test_tags_change),
		cmocka_unit_test(test_agent_started_anew),
		cmocka_unit_test(test_agent_started_anew_after_leaving),
		cmocka_unit_test(test_uuids_without_end),
		cmocka_unit_test(test_names_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
