/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "models.h"
#include "proto/json.h"
#include "proto/utf8.h"
#include "random_model.h"

/* Decodes into a VmCreateOptions and expects this 400. */
static void
expect_refused(const char *text, const char *detail)
{
	struct vm_create_options options = { 0 }, zero = { 0 };
	struct error err = { 0 };

	assert_int_equal(
	    json_decode(&vm_create_options_model, text, strlen(text), &options, &err), -1);
	assert_int_equal(err.status, 400);
	assert_string_equal(err.detail, detail);
	assert_true(model_equal(&vm_create_options_model, &options, &zero));
}

static void
decode(const struct model *m, const char *text, void *obj)
{
	struct error err = { 0 };

	if (json_decode(m, text, strlen(text), obj, &err) < 0)
		fail_msg("%s: %s", text, err.detail);
}

static void
test_random_round_trip(void **state)
{
	struct random r = { .state = 42 };

	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(api_models); i++) {
			const struct model *m = api_models[i];
			_free_ void *a = xcalloc(1, m->size), *b = xcalloc(1, m->size);
			_free_ char *text = NULL, *pretty = NULL, *again = NULL;
			size_t len;

			random_fill(&r, m, a);
			text = json_encode(m, a, &len);
			assert_int_equal(strlen(text), len);
			assert_null(strchr(text, '\n'));
			assert_true(utf8_valid(text, len));
			decode(m, text, b);
			assert_true(model_equal(m, a, b));
			model_clear(m, b);

			pretty = json_encode_pretty(m, a, NULL);
			decode(m, pretty, b);
			again = json_encode(m, b, NULL);
			assert_string_equal(again, text);
			model_clear(m, a);
			model_clear(m, b);
		}
	}
}

static void
test_all_fields_are_written(void **state)
{
	struct vm_create_options options = { 0 };
	_free_ char *text = json_encode(&vm_create_options_model, &options, NULL);

	assert_string_equal(text,
	    "{\"vmdef\":{\"name\":\"\",\"cpudef\":{\"model\":\"\",\"nodes\":0,\"sockets\":0,"
	    "\"cores\":0,\"threads\":0},\"memory\":{\"total\":0,\"hp\":false},"
	    "\"numa\":{\"placement\":false},\"osdisk\":{\"path\":\"\",\"device\":0,\"bus\":0,"
	    "\"man\":0,\"prov\":0,\"size\":0},\"disks\":[],\"nets\":[],\"vlanid\":0,"
	    "\"firmware\":0,\"genid\":\"\",\"custom\":[]},\"host\":\"\"}");
}

static void
test_pretty(void **state)
{
	struct vm_boot_options boot = { 0 };
	_free_ char *empty = json_encode_pretty(&vm_boot_options_model, &boot, NULL);
	_free_ char *text = NULL;

	model_append(&boot.cloud_init, &boot.n_cloud_init)->name = xstrdup("n");
	text = json_encode_pretty(&vm_boot_options_model, &boot, NULL);
	assert_string_equal(empty, "{\n  \"cloud_init\": []\n}");
	assert_string_equal(text,
	    "{\n  \"cloud_init\": [\n    {\n      \"name\": \"n\",\n      \"value\": \"\"\n"
	    "    }\n  ]\n}");
	model_clear(&vm_boot_options_model, &boot);
}

static void
test_types(void **state)
{
	expect_refused("{\"vmdef\":{\"disks\":[{},{},{\"size\":\"1\"}]}}",
	    "vmdef.disks[2].size: expected an integer of 32 bits, got a string");
	expect_refused(
	    "{\"vmdef\":{\"disks\":[{},7]}}", "vmdef.disks[1]: expected an object, got a number");
	expect_refused(
	    "{\"vmdef\":{\"disks\":{}}}", "vmdef.disks: expected an array, got an object");
	expect_refused(
	    "{\"vmdef\":{\"disks\":[[]]}}", "vmdef.disks[0]: expected an object, got an array");
	expect_refused("{\"vmdef\":[]}", "vmdef: expected an object, got an array");
	expect_refused("{\"vmdef\":\"x\"}", "vmdef: expected an object, got a string");
	expect_refused("{\"host\":1}", "host: expected a string, got a number");
	expect_refused("{\"host\":true}", "host: expected a string, got a boolean");
	expect_refused("{\"host\":{}}", "host: expected a string, got an object");
	expect_refused("{\"vmdef\":{\"memory\":{\"hp\":1}}}",
	    "vmdef.memory.hp: expected a boolean, got a number");
	expect_refused("{\"vmdef\":{\"memory\":{\"hp\":\"true\"}}}",
	    "vmdef.memory.hp: expected a boolean, got a string");
	expect_refused("{\"vmdef\":{\"vlanid\":1.0}}",
	    "vmdef.vlanid: expected an integer of 16 bits, got the number 1.0");
	expect_refused("{\"vmdef\":{\"vlanid\":1e3}}",
	    "vmdef.vlanid: expected an integer of 16 bits, got the number 1e3");
	expect_refused("{\"vmdef\":{\"firmware\":\"uefi\"}}",
	    "vmdef.firmware: expected an integer, got a string");
	expect_refused("{\"vmdef\":{\"firmware\":false}}",
	    "vmdef.firmware: expected an integer, got a boolean");
	expect_refused("[]", "the document: expected an object, got an array");
	expect_refused("\"x\"", "the document: expected an object, got a string");
	expect_refused("1", "the document: expected an object, got a number");
	expect_refused("null", "the document: expected an object, got null");
	expect_refused("true", "the document: expected an object, got a boolean");
}

static void
test_ranges(void **state)
{
	struct vm vm = { 0 };
	struct error err = { 0 };
	static const char over[] = "{\"ts\":9223372036854775808}";

	expect_refused(
	    "{\"vmdef\":{\"vlanid\":32768}}", "vmdef.vlanid: 32768 is out of range -32768..32767");
	expect_refused("{\"vmdef\":{\"vlanid\":-32769}}",
	    "vmdef.vlanid: -32769 is out of range -32768..32767");
	expect_refused("{\"vmdef\":{\"memory\":{\"total\":2147483648}}}",
	    "vmdef.memory.total: 2147483648 is out of range -2147483648..2147483647");
	expect_refused("{\"vmdef\":{\"osdisk\":{\"bus\":4}}}",
	    "vmdef.osdisk.bus: 4 is out of range 0..3 (virtio-blk, virtio-scsi, sata, scsi)");
	expect_refused("{\"vmdef\":{\"osdisk\":{\"bus\":-1}}}",
	    "vmdef.osdisk.bus: -1 is out of range 0..3 (virtio-blk, virtio-scsi, sata, scsi)");
	expect_refused("{\"vmdef\":{\"vlanid\":"
		       "100000000000000000000000000000000000000000000000000000000}}",
	    "vmdef.vlanid: 1000000000000000000000000000000000000000 is out of range "
	    "-32768..32767");
	assert_int_equal(json_decode(&vm_model, over, strlen(over), &vm, &err), -1);
	assert_non_null(strstr(err.detail, "ts: 9223372036854775808 is out of range"));

	decode(&vm_model,
	    "{\"ts\":-9223372036854775808,\"def\":{\"vlanid\":-0,\"memory\":{\"total\":2147483647}}"
	    "}",
	    &vm);
	assert_true(vm.ts == INT64_MIN);
	assert_int_equal(vm.def.memory.total, INT32_MAX);
	model_clear(&vm_model, &vm);
}

static void
test_floats(void **state)
{
	static const struct {
		float value;
		const char *text;
	} values[] = {
		{ 0.0f, "0" },
		{ 1.0f, "1" },
		{ 0.1f, "0.1" },
		{ 100.5f, "100.5" },
		{ 16777216.0f, "16777216" },
		{ 0.3333333432674407958984375f, "0.33333334" },
		{ FLT_MAX, "3.4028235e+38" },
		{ NAN, "0" },
		{ INFINITY, "0" },
	};
	struct transfer_progress p = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_free_ char *text = NULL;
		_free_ char *expected =
		    xasprintf("{\"total\":0,\"transferred\":0,\"remaining\":0,\"rate\":%s,"
			      "\"dirty_rate\":0,\"iteration\":0,\"expected_downtime\":0,"
			      "\"downtime\":0}",
			values[i].text);

		p.rate = values[i].value;
		text = json_encode(&transfer_progress_model, &p, NULL);
		assert_string_equal(text, expected);
	}
	decode(&transfer_progress_model, "{\"rate\":12}", &p);
	assert_true(p.rate == 12.0f);
	decode(&transfer_progress_model, "{\"rate\":1.5e1}", &p);
	assert_true(p.rate == 15.0f);
	assert_int_equal(
	    json_decode(&transfer_progress_model, "{\"rate\":1e39}", 13, &p, &err), -1);
	assert_string_equal(err.detail, "rate: 1e39 is out of the range of a float of 32 bits");
}

static void
test_null_and_missing_are_zero(void **state)
{
	struct vm_create_options options = { 0 };

	decode(&vm_create_options_model,
	    "{\"vmdef\":{\"name\":null,\"disks\":[{\"size\":1},null],\"nets\":null,"
	    "\"osdisk\":null,\"vlanid\":null,\"memory\":{\"hp\":null}},\"host\":\"h\"}",
	    &options);
	assert_int_equal(options.vmdef.n_disks, 2);
	assert_int_equal(options.vmdef.disks[1].size, 0);
	assert_int_equal(options.vmdef.n_nets, 0);
	assert_string_equal(options.host, "h");
	model_clear(&vm_create_options_model, &options);

	decode(&vm_create_options_model, " \t\r\n ", &options);
	decode(&vm_create_options_model, "", &options);
	decode(&vm_create_options_model, "{}", &options);
	assert_null(options.vmdef.name);
}

static void
test_last_of_doubled_keys_wins(void **state)
{
	struct vm_create_options options = { 0 };

	decode(&vm_create_options_model,
	    "{\"vmdef\":{\"name\":\"a\",\"memory\":{\"total\":5,\"hp\":true},"
	    "\"disks\":[{\"path\":\"x\"},{\"path\":\"y\"}],\"vlanid\":3,"
	    "\"name\":\"b\",\"memory\":{\"total\":6},\"disks\":[{\"path\":\"z\"}],"
	    "\"vlanid\":null}}",
	    &options);
	assert_string_equal(options.vmdef.name, "b");
	assert_int_equal(options.vmdef.memory.total, 6);
	assert_false(options.vmdef.memory.hp);
	assert_int_equal(options.vmdef.n_disks, 1);
	assert_string_equal(options.vmdef.disks[0].path, "z");
	assert_int_equal(options.vmdef.vlanid, 0);
	model_clear(&vm_create_options_model, &options);
}

static void
test_unknown_fields_are_ignored(void **state)
{
	struct vm_create_options options = { 0 };

	decode(&vm_create_options_model,
	    "{\"new\":{\"host\":\"no\",\"x\":[1,2,{\"y\":null}]},\"a\":1.5,\"b\":[],\"c\":true,"
	    "\"hos\":\"no\",\"hostt\":\"no\",\"\":1,\"host\\u0000\":\"no\",\"host\":\"yes\","
	    "\"vmdef\":{\"z\":[[]],\"name\":\"n\"}}",
	    &options);
	assert_string_equal(options.host, "yes");
	assert_string_equal(options.vmdef.name, "n");
	model_clear(&vm_create_options_model, &options);
}

static void
test_doubled_keys_are_refused_of_clients(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: taken */
	} cases[] = {
		{ "{\"name\":\"a\",\"name\":\"b\"}", "name: the key is there twice" },
		{ "{\"name\":null,\"n\\u0061me\":\"b\"}", "name: the key is there twice" },
		{ "{\"disks\":[],\"disks\":[{}]}", "disks: the key is there twice" },
		{ "{\"numa\":{},\"numa\":{}}", "numa: the key is there twice" },
		{ "{\"disks\":[{\"size\":1},{\"size\":1,\"path\":\"a\",\"size\":2}]}",
		    "disks[1].size: the key is there twice" },
		{ "{\"disks\":[{\"size\":1},{\"size\":1}],\"osdisk\":{\"size\":1}}", NULL },
		{ "{\"x\":{\"name\":1,\"name\":1},\"name\":\"a\",\"x\":2}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = cases[i].text;
		struct vmdef def = { 0 };
		struct error err = { 0 };
		int r = json_decode_request(&vmdef_model, text, strlen(text), &def, &err);

		assert_int_equal(r, cases[i].why ? -1 : 0);
		assert_string_equal(err.detail, str_or_empty(cases[i].why));
		assert_int_equal(err.status, cases[i].why ? 400 : 0);
		model_clear(&vmdef_model, &def);
	}
}

static void
test_unknown_fields_are_refused_of_people(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "{\"nmae\":\"x\"}", "the document: unknown key 'nmae', did you mean 'name'?" },
		{ "{\"vlanID\":1}", "the document: unknown key 'vlanID', did you mean 'vlanid'?" },
		{ "{\"disks\":[{},{\"Man\":1}]}",
		    "disks[1]: unknown key 'Man', did you mean 'man'?" },
		{ "{\"osdisk\":{\"pth\":{\"a\":[1]}}}",
		    "osdisk: unknown key 'pth', did you mean 'path'?" },
		{ "{\"numa\":{\"colour\":1}}", "numa: unknown key 'colour'; there are placement" },
		{ "{\"name\":\"x\",\"vlanid\":1,\"name\":\"y\"}", "name: the key is there twice" },
		{ "{\"\":1,\"name\":\"x\"}", "the document: unknown key ''; there are name, " },
	};
	static const char good[] = "{\"$comment\":\"c\",\"name\":\"x\",\"nets\":[{\"$n\":1}]}";
	struct vmdef def = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = cases[i].text;

		assert_int_equal(
		    json_decode_exact(&vmdef_model, text, strlen(text), &def, &err), -1);
		assert_int_equal(strncmp(err.detail, cases[i].why, strlen(cases[i].why)), 0);
		assert_true(model_equal(&vmdef_model, &def, &(struct vmdef){ 0 }));
		assert_int_equal(json_decode(&vmdef_model, text, strlen(text), &def, &err), 0);
		model_clear(&vmdef_model, &def);
	}
	assert_int_equal(json_decode_exact(&vmdef_model, good, strlen(good), &def, &err), 0);
	assert_string_equal(def.name, "x");
	model_clear(&vmdef_model, &def);
}

static void
test_syntax(void **state)
{
	static const char *const bad[] = {
		"{",
		"}",
		"{]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{'a':1}",
		"{a:1}",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":.5}",
		"{\"a\":1.}",
		"{\"a\":-}",
		"{\"a\":NaN}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\\u12",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"{} {}",
		"{}x",
		"{} \\",
		"{\"host\":\"a\"",
		"{\"host\":\"a\" /* no */}",
		"\xef\xbb\xbf{}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vm_create_options options = { 0 };
		struct error err = { 0 };

		assert_int_equal(
		    json_decode(&vm_create_options_model, bad[i], strlen(bad[i]), &options, &err),
		    -1);
		assert_int_equal(err.status, 400);
		assert_memory_equal(err.detail, "invalid JSON at byte ", 21);
		assert_null(options.host);
	}
	expect_refused(
	    "{\"host\":\"x\"} y", "invalid JSON at byte 14: parse error: trailing garbage");
}

static void
test_texts(void **state)
{
	struct vm_create_options options = { 0 };

	decode(&vm_create_options_model,
	    "{\"host\":\"gr\\u00f6\\u00dfe \\ud83d\\uDE00 \\\\ud800 \\\"\\/\\b\\n\"}", &options);
	assert_string_equal(options.host, "größe 😀 \\ud800 \"/\b\n");
	model_clear(&vm_create_options_model, &options);

	expect_refused("{\"host\":\"a\\u0000b\"}", "host: a string with a NUL in it");
	expect_refused("{\"host\":\"a\xff\"}", "invalid JSON at byte 10: no UTF-8");
	expect_refused("{\"x\":\"\xc0\x80\"}", "invalid JSON at byte 6: no UTF-8");
	expect_refused("{\"x\":\"\xed\xa0\x80\"}", "invalid JSON at byte 6: no UTF-8");
	expect_refused("{\"host\":\"\\ud800\"}", "invalid JSON at byte 9: half a surrogate pair");
	expect_refused("{\"host\":\"\\udc00\"}", "invalid JSON at byte 9: half a surrogate pair");
	expect_refused(
	    "{\"host\":\"\\ud800\\u0041\"}", "invalid JSON at byte 9: half a surrogate pair");
	expect_refused(
	    "{\"host\":\"\\ud800\\ud800\"}", "invalid JSON at byte 9: half a surrogate pair");
}

static void
test_a_raw_nul_is_no_text(void **state)
{
	struct vm_create_options options = { 0 };
	struct error err = { 0 };

	assert_int_equal(
	    json_decode(&vm_create_options_model, "{\"host\":\"a\0b\"}", 14, &options, &err), -1);
	assert_int_equal(json_decode(&vm_create_options_model, "{}\0", 3, &options, &err), -1);
}

static void
test_bad_utf8_is_written_as_replacement(void **state)
{
	struct vm_register_options options = { .host = (char[]){ "a\xff\xc3z\xc3" } };
	_free_ char *text = json_encode(&vm_register_options_model, &options, NULL);

	assert_string_equal(text, "{\"host\":\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\"}");
}

/* open, then n times piece. */
static char *
repeated(const char *open, const char *piece, size_t n, size_t *len)
{
	struct buffer b = { 0 };

	buffer_add(&b, open, strlen(open));
	while (n-- > 0)
		buffer_add(&b, piece, strlen(piece));
	return buffer_steal(&b, len);
}

static void
test_depth(void **state)
{
	static const char *const opens[] = { "", "{\"x\":", "{\"vmdef\":{\"x\":" };
	static const char *const pieces[] = { "[", "{\"a\":" };
	struct vm_create_options options = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
			size_t len;
			_free_ char *text = repeated(opens[i], pieces[k], 1 << 20, &len);
			int64_t start = monotonic_ms();

			assert_int_equal(
			    json_decode(&vm_create_options_model, text, len, &options, &err), -1);
			assert_int_equal(err.status, 400);
			assert_true(monotonic_ms() - start < 2000);
		}
	}
	decode(&vm_create_options_model, "{\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", &options);
	expect_refused("{\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}",
	    "the document: nested deeper than 16 levels");
	decode(&vm_create_options_model,
	    "{\"vmdef\":{\"disks\":[{\"x\":[[[[[[[[[[[[]]]]]]]]]]]]}]}}", &options);
	model_clear(&vm_create_options_model, &options);
	expect_refused("{\"vmdef\":{\"disks\":[{\"x\":[[[[[[[[[[[[[]]]]]]]]]]]]]}]}}",
	    "vmdef.disks[0]: nested deeper than 16 levels");
}

static void
test_elements_are_capped(void **state)
{
	struct vm_list list = { 0 };
	struct error err = { 0 };
	size_t len;
	_free_ char *text = repeated("{\"items\":[{}", ",{}", 100000, &len);

	assert_int_equal(json_decode(&vm_list_model, text, len, &list, &err), -1);
	assert_string_equal(err.detail, "items[100000]: more than 100000 elements");
	assert_null(list.items);
}

static void
test_a_big_list_is_quick(void **state)
{
	struct vm_list list = { 0 }, back = { 0 };
	struct error err = { 0 };
	_free_ char *text = NULL;
	int64_t start, encoded, decoded;
	size_t len;

	for (int i = 0; i < 30000; i++) {
		struct vm_list_item *item = model_append(&list.items, &list.n_items);

		item->uuid = xasprintf("5a1f3c7e-9b52-4d0a-8f3e-%012x", i);
		item->fields.name = xasprintf("vm-number-%d", i);
		item->fields.host = xstrdup("00000001-1111-4222-8333-444444444444");
		item->fields.runstate = VMRUNSTATE_RUNNING;
		item->fields.ts = 1763846400123 + i;
	}
	start = monotonic_ms();
	text = json_encode(&vm_list_model, &list, &len);
	encoded = monotonic_ms();
	assert_int_equal(json_decode(&vm_list_model, text, len, &back, &err), 0);
	decoded = monotonic_ms();
	print_message("%zu bytes: %d ms to write, %d ms to read\n", len, (int)(encoded - start),
	    (int)(decoded - encoded));
	assert_true(len > 5 << 20);
	assert_true(encoded - start < 2000 && decoded - encoded < 4000);
	assert_true(model_equal(&vm_list_model, &list, &back));
	model_clear(&vm_list_model, &list);
	model_clear(&vm_list_model, &back);
}

static void
test_strings_alone(void **state)
{
	static const char *const bad[] = { "", "  ", "{}", "[]", "[\"a\"]", "1", "null", "\"a",
		"\"a\" b", "\"a\\u0000\"" };
	_free_ char *quoted = json_quote("a\"b\\\n\xff"
					 "ä");
	struct error err = { 0 };
	char *text = NULL;

	assert_string_equal(quoted, "\"a\\\"b\\\\\\n\xef\xbf\xbdä\"");
	assert_int_equal(json_decode_string(quoted, strlen(quoted), &text, &err), 0);
	assert_string_equal(text, "a\"b\\\n\xef\xbf\xbdä");
	free(text);
	text = NULL;
	assert_int_equal(json_decode_string(" \"\" \n", 5, &text, &err), 0);
	assert_string_equal(text, "");
	free(text);
	text = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(json_decode_string(bad[i], strlen(bad[i]), &text, &err), -1);
		assert_int_equal(err.status, 400);
		assert_null(text);
	}
	assert_int_equal(json_decode_string("[1]", 3, &text, &err), -1);
	assert_string_equal(err.detail, "the document: expected a string, got an array");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_round_trip),
		cmocka_unit_test(test_all_fields_are_written),
		cmocka_unit_test(test_pretty),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_null_and_missing_are_zero),
		cmocka_unit_test(test_last_of_doubled_keys_wins),
		cmocka_unit_test(test_doubled_keys_are_refused_of_clients),
		cmocka_unit_test(test_unknown_fields_are_ignored),
		cmocka_unit_test(test_unknown_fields_are_refused_of_people),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_a_raw_nul_is_no_text),
		cmocka_unit_test(test_bad_utf8_is_written_as_replacement),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_elements_are_capped),
		cmocka_unit_test(test_a_big_list_is_quick),
		cmocka_unit_test(test_strings_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
