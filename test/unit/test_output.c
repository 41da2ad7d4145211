/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the options of every command make of a table and of fields. */
#include "verb_fixture.h"

#include <string.h>

#define LIST                                                                                       \
	"{\"items\":[{\"uuid\":\"u3\",\"fields\":{\"name\":\"web, \\\"b\\\"\",\"host\":\"h1\","    \
	"\"runstate\":4,\"vlanid\":9}},"                                                           \
	"{\"uuid\":\"u1\",\"fields\":{\"name\":\"db\",\"runstate\":2,\"vlanid\":10}},"             \
	"{\"uuid\":\"u2\",\"fields\":{\"name\":\"\xe6\x97\xa5\",\"host\":\"h2\",\"runstate\":9}}]" \
	"}"

static void
test_formats(void **state)
{
	static const struct {
		const char *options, *out;
	} cases[] = {
		/* A wide character has two cells. */
		{ "", "UUID  NAME      STATE     HOST  VLAN  UPDATED\n"
		      "u3    web, \"b\"  running   h1       9  -\n"
		      "u1    db        poweroff  -       10  -\n"
		      "u2    \xe6\x97\xa5        crashed   h2       0  -\n" },
		{ "-o csv", "UUID,NAME,STATE,HOST,VLAN,UPDATED\n"
			    "u3,\"web, \"\"b\"\"\",running,h1,9,\n"
			    "u1,db,poweroff,,10,\n"
			    "u2,\xe6\x97\xa5,crashed,h2,0,\n" },
		{ "-o name", "web, \"b\"\ndb\n\xe6\x97\xa5\n" },
		{ "-q", "u3\nu1\nu2\n" },
		{ "-q --sort uuid", "u1\nu2\nu3\n" },
		{ "--no-headers --columns vlan,Name --sort vlan",
		    " 0  \xe6\x97\xa5\n 9  web, \"b\"\n10  db\n" },
		{ "--columns uuid --sort -vlan", "UUID\nu1\nu3\nu2\n" },
		{ "-q --filter state=running", "u3\n" },
		{ "-q --filter state!=running", "u1\nu2\n" },
		{ "-q --filter name~b", "u3\nu1\n" },
		{ "-q --filter name~b,vlan=10", "u1\n" },
		{ "-q --filter name!~b", "u2\n" },
		{ "-q --filter host=-", "u1\n" },
		{ "-o csv --no-headers --columns uuid,uuid --filter name=db", "u1,u1\n" },
	};
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("list vm %s", cases[i].options);

		verb_ok(f, line);
		if (strcmp(f->out, cases[i].out) != 0)
			fail_msg("'%s': '%s'", line, f->out);
	}
}

static void
test_yaml(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f,
	    "{\"items\":[{\"uuid\":\"u\",\"fields\":{\"name\":\"a\\u001b\\\"\",\"runstate\":4,"
	    "\"vlanid\":9}}]}");
	verb_ok(f, "list vm -o yaml");
	assert_string_equal(f->out, "items:\n"
				    "- uuid: \"u\"\n"
				    "  fields:\n"
				    "    name: \"a\\u001B\\\"\"\n"
				    "    host: \"\"\n"
				    "    runstate: \"running\"\n"
				    "    vlanid: 9\n"
				    "    custom:\n"
				    "      name: \"\"\n"
				    "      value: \"\"\n"
				    "    ts: 0\n"
				    "  reason: \"\"\n"
				    "  last: \"none\"\n");
	verb_answer_json(f, "{\"items\":[]}");
	verb_ok(f, "list vm -o yaml");
	assert_string_equal(f->out, "items: []\n");
}

/* The last columns go first, and only those that may; what was asked for stays. */
static void
test_a_narrow_terminal(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	f->width = 45;
	verb_ok(f, "list vm");
	assert_says(f->out, "VLAN  UPDATED\n");
	f->width = 44;
	verb_ok(f, "list vm");
	assert_says(f->out, "STATE     HOST  VLAN\n");
	f->width = 10;
	verb_ok(f, "list vm");
	assert_int_equal(strncmp(f->out, "UUID  NAME      STATE\n", 22), 0);
	verb_ok(f, "list vm -o wide");
	assert_says(f->out, "VLAN  UPDATED\n");
	verb_ok(f, "list vm --columns updated,host,uuid,name");
	assert_says(f->out, "UPDATED  HOST  UUID  NAME\n");
	verb_ok(f, "list vm -o csv");
	assert_says(f->out, "VLAN,UPDATED\n");
}

static void
test_colours(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	f->colour = true;
	verb_ok(f, "list vm");
	assert_says(f->out, "  \x1b[32mrunning\x1b[0m   h1");
	assert_says(f->out, "  poweroff  -");
	assert_says(f->out, "  \x1b[31mcrashed\x1b[0m   h2");
	verb_ok(f, "list vm -o csv");
	assert_null(strchr(f->out, '\x1b'));
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *options, *words;
	} cases[] = {
		{ "--columns uuid,nosuch",
		    "--columns: there is no column 'nosuch', but uuid, name, state, host" },
		{ "--columns uuid,", "--columns: there is no column ''" },
		{ "--sort -nosuch", "--sort: there is no column 'nosuch'" },
		{ "--filter nosuch=1", "--filter: there is no column 'nosuch'" },
		{ "--filter name", "'name' is none of COLUMN=VALUE" },
		{ "--filter name=a,,", "'' is none of COLUMN=VALUE" },
		{ "--filter =a", "'=a' is none of" },
		{ "--filter name!", "'name!' is none of" },
		{ "-o json -q", "--quiet is for tables, CSV and names: with --output json all" },
		{ "-o yaml --filter name=a", "--filter is for tables" },
		{ "-o xml", "--output needs one of table, wide, json, yaml, csv, name, not" },
	};
	struct verb_fixture *f = *state;

	verb_answer_json(f, LIST);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *line = xasprintf("list vm %s", cases[i].options);

		verb_fails(f, line, COMMAND_USAGE, cases[i].words);
	}
	/* It is shown whole, as the command may have done something. */
	verb_fails(f, "list vm --filter nosuch=1 --columns uuid", COMMAND_USAGE, "nosuch");
	assert_says(f->out, "u3    web, \"b\"  running   h1       9  -\n");
}

/* The title of a column with a space has another character in its place. */
static void
test_titles_with_spaces(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"items\":[{\"uuid\":\"a\",\"fields\":{\"memoryavailable\":512}},"
			    "{\"uuid\":\"b\",\"fields\":{\"memoryavailable\":2048}}]}");
	verb_ok(f, "list host --sort -memory-available --columns uuid,MEMORY_AVAILABLE");
	assert_string_equal(f->out, "UUID  MEMORY AVAILABLE\nb             2048 MiB\n"
				    "a              512 MiB\n");
}

static void
test_fields(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, "{\"runstate\":4,\"host\":\"h, 1\"}");
	verb_ok(f, "get runstate vm " VM_UUID " -o csv");
	assert_string_equal(f->out, "state,running\nhost,\"h, 1\"\n");
	verb_ok(f, "get runstate vm " VM_UUID " -q");
	assert_string_equal(f->out, "running\n");
	verb_ok(f, "get runstate vm " VM_UUID " -o yaml");
	assert_says(f->out, "runstate: \"running\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_formats),
		TEST(test_yaml),
		TEST(test_a_narrow_terminal),
		TEST(test_colours),
		TEST(test_refusals),
		TEST(test_titles_with_spaces),
		TEST(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
