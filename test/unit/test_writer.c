/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/model.h"
#include "virtx/writer.h"

static const char *const titles[] = { "NAME", ">SIZE", "STATE" };

struct output {
	struct writer writer;
	char *text;
	size_t len;
};

static struct writer *
output_open(struct output *o, enum writer_format format)
{
	*o = (struct output){ .writer = { .format = format } };
	o->writer.out = open_memstream(&o->text, &o->len);
	assert_non_null(o->writer.out);
	return &o->writer;
}

static void
output_check(struct output *o, const char *expected)
{
	assert_int_equal(writer_finish(&o->writer), 0);
	fclose(o->writer.out);
	assert_string_equal(o->text, expected);
	free(o->text);
}

static void
test_table(void **state)
{
	struct output o;
	struct writer *w = output_open(&o, WRITER_TABLE);

	writer_begin(w, titles, ARRAY_SIZE(titles));
	writer_cell(w, "web");
	writer_cell(w, "%d MiB", 12);
	writer_cell(w, "running");
	writer_cell(w, "b\xc3\xbc"
		       "cher");
	writer_cell(w, "%d MiB", 4096);
	writer_cell(w, "%s", "");
	writer_end(w);
	output_check(&o, "NAME        SIZE  STATE\n"
			 "web       12 MiB  running\n"
			 "b\xc3\xbc"
			 "cher  4096 MiB  -\n");
}

static void
test_empty_table_has_titles(void **state)
{
	struct output o;
	struct writer *w = output_open(&o, WRITER_TABLE);

	writer_begin(w, titles, ARRAY_SIZE(titles));
	writer_end(w);
	output_check(&o, "NAME  SIZE  STATE\n");
}

static void
test_fields_and_sections(void **state)
{
	struct output o;
	struct writer *w = output_open(&o, WRITER_TABLE);

	writer_field(w, "name", "%s", "web");
	writer_field(w, "numa placement", "no");
	writer_begin(w, titles, 1);
	writer_cell(w, "x");
	writer_end(w);
	writer_field(w, "last", "%s", "");
	output_check(&o, "name:           web\n"
			 "numa placement: no\n"
			 "\n"
			 "NAME\n"
			 "x\n"
			 "\n"
			 "last: -\n");
}

static void
test_json_prints_only_the_document(void **state)
{
	struct vmruninfo info = { .runstate = VMRUNSTATE_RUNNING, .host = (char[]){ "h\n\"" } };
	struct output o;
	struct writer *w = output_open(&o, WRITER_JSON);

	writer_document(w, &vmruninfo_model, &info);
	writer_field(w, "state", "%s", "running");
	writer_begin(w, titles, 1);
	writer_cell(w, "x");
	writer_end(w);
	assert_int_equal(writer_finish(w), 0);
	fflush(w->out);
	assert_non_null(strstr(o.text, "\"runstate\": 4"));
	assert_non_null(strstr(o.text, "h\\n\\\""));
	assert_null(strstr(o.text, "NAME"));
	assert_null(strstr(o.text, "running"));
	assert_string_equal(o.text + o.len - 2, "}\n");
	fclose(w->out);
	free(o.text);
}

static void
test_text(void **state)
{
	struct output o;

	writer_text(output_open(&o, WRITER_TABLE), "a\"\x1b");
	output_check(&o, "a\"?\n");
	writer_text(output_open(&o, WRITER_JSON), "a\"");
	output_check(&o, "\"a\\\"\"\n");
	writer_text(output_open(&o, WRITER_JSON), "a\xc2\x9b"
						  "b\xe2\x80\xae\xf3\xa0\x81\x81\x7f\n");
	output_check(&o, "\"a\\u009bb\\u202e\\udb40\\udc41\\u007f\\n\"\n");
}

static void
test_json_stays_what_it_is(void **state)
{
	_free_ char *safe = writer_safe_json("{\n  \"a\": \"\xc3\xa4\"\n}");
	_free_ char *raw = writer_safe_json("\x1b[2J\xff");

	assert_string_equal(safe, "{\n  \"a\": \"\xc3\xa4\"\n}");
	assert_string_equal(raw, "\\u001b[2J\\ufffd");
}

/* A name from another host must not drive the terminal. */
static void
test_safe(void **state)
{
	static const struct {
		const char *text, *safe;
	} cases[] = {
		{ "plain", "plain" }, { "", "" }, { "\x1b[2J", "?[2J" },
		{ "a\nb\tc\x7f", "a?b?c?" }, { "\xc2\x9b", "?" }, /* C1 */
		{ "\xff\xc3", "??" },				  /* no UTF-8 */
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "a\xe2\x80\xae"
		  "b",
		    "a?b" },		     /* right to left */
		{ "a\xe2\x80\x8b", "a?" },   /* of no width */
		{ "\xf3\xa0\x81\x81", "?" }, /* a tag */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *safe = writer_safe(cases[i].text);

		assert_string_equal(safe, cases[i].safe);
	}
}

static void
test_time(void **state)
{
	char out[WRITER_TIME_SIZE];

	setenv("TZ", "UTC-1", 1); /* POSIX has the sign this way */
	tzset();
	assert_string_equal(writer_time(0, out), "");
	assert_string_equal(writer_time(1700000000999, out), "2023-11-14T23:13:20+0100");
	assert_string_equal(writer_time(INT64_MAX, out), "292278994-08-17T08:12:55+0100");
	assert_string_equal(writer_time(-1, out), "1970-01-01T01:00:00+0100");
}

static void
test_write_error_is_returned(void **state)
{
	struct writer w = { .format = WRITER_TABLE };

	w.out = fopen("/dev/full", "w");
	assert_non_null(w.out);
	writer_field(&w, "a", "b");
	assert_true(writer_finish(&w) < 0);
	fclose(w.out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_empty_table_has_titles),
		cmocka_unit_test(test_fields_and_sections),
		cmocka_unit_test(test_json_prints_only_the_document),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json_stays_what_it_is),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_write_error_is_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
