/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions as people write them, and as 'get vm' prints them. */
#include "verb_fixture.h"

#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/model.h"
#include "random_model.h"
#include "virtx/answer.h"
#include "virtx/yaml_read.h"

static int
decode(const char *text, size_t len, struct vmdef *def, struct error *err)
{
	const struct yaml_text yaml = { .data = text, .len = len };

	memset(def, 0, sizeof(*def));
	memset(err, 0, sizeof(*err));
	return yaml_decode(&yaml, &vmdef_model, def, err);
}

/* Must be the same as what JSON says in the API's own way. */
static void
same(const char *text, const char *json)
{
	struct vmdef def, wanted = { 0 };
	struct error err;

	if (decode(text, strlen(text), &def, &err) < 0)
		fail_msg("'%s': %s", text, err.detail);
	assert_int_equal(json_decode(&vmdef_model, json, strlen(json), &wanted, &err), 0);
	if (!model_equal(&vmdef_model, &def, &wanted)) {
		_free_ char *got = json_encode(&vmdef_model, &def, NULL);

		fail_msg("'%s': %s", text, got);
	}
	model_clear(&vmdef_model, &def);
	model_clear(&vmdef_model, &wanted);
}

static void
test_what_is_written(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{ "", "{}" },
		{ "# nothing\n---\n", "{}" },
		{ "name: web", "{\"name\":\"web\"}" },
		{ "\xef\xbb\xbfname: web\r\nvlanid: 5\r\n", "{\"name\":\"web\",\"vlanid\":5}" },
		{ "name: 12\ngenid: no", "{\"name\":\"12\",\"genid\":\"no\"}" },
		{ "name: ~\nnets:\nosdisk: null", "{}" },
		{ "name: >-\n  a\n  b", "{\"name\":\"a b\"}" },
		{ "\"$comment\": {a: [1, {b: c}]}\nname: x", "{\"name\":\"x\"}" },
		{ "{\"name\":\"\\ud83d\\ude00\\\\ud83d\\/\\u00e9\"}",
		    "{\"name\":\"\xf0\x9f\x98\x80\\\\ud83d/\xc3\xa9\"}" },
		{ "memory: {total: 4G, hp: yes}", "{\"memory\":{\"total\":4096,\"hp\":true}}" },
		{ "memory: {total: 512, hp: off}", "{\"memory\":{\"total\":512}}" },
		{ "memory: {total: 1.5 GiB}", "{\"memory\":{\"total\":1536}}" },
		{ "{\"memory\":{\"total\":\"2048K\"}}", "{\"memory\":{\"total\":2}}" },
		{ "osdisk: {size: 1048.576MB}", "{\"osdisk\":{\"size\":1000}}" },
		{ "osdisk: {size: 2047T}", "{\"osdisk\":{\"size\":2146435072}}" },
		{ "osdisk: {bus: virtio, device: cdrom, man: managed, prov: 2}",
		    "{\"osdisk\":{\"bus\":0,\"device\":1,\"man\":1,\"prov\":2}}" },
		{ "disks:\n- path: a\n  bus: \"sata\"\n-\n- {bus: virtio-scsi}",
		    "{\"disks\":[{\"path\":\"a\",\"bus\":2},{},{\"bus\":1}]}" },
		{ "vlanid: -0\nfirmware: uefi", "{\"firmware\":1}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		same(cases[i].text, cases[i].json);
}

static void
test_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "[]", "line 1: the document: keys with values belong here, not a list" },
		{ "web", "line 1: the document: keys with values belong here, not one value" },
		{ "name: a\nnmae: b", "line 2: the document: unknown key 'nmae', did you mean "
				      "'name'?" },
		{ "disks:\n- path: a\n  Man: 1",
		    "line 3: disks[0]: unknown key 'Man', did you mean 'man'?" },
		{ "cpudef: {speed: 1}", "unknown key 'speed'; there are model, nodes, sockets" },
		{ "name: a\nname: b", "line 2: name: the key is there twice" },
		{ "[a]: b", "line 1: the document: a key is one word, not a list" },
		{ "? [a]\n: b", "line 1: the document: a key is one word, not a list" },
		{ "name: {a: b}", "name: one value belongs here, not keys with values" },
		{ "nets: {a: b}", "nets: a list belongs here, not keys with values" },
		{ "nets: [5]", "nets[0]: keys with values belong here, not one value" },
		{ "memory:\n  total: 4X", "line 2: memory.total: '4X' is no size: write a number "
					  "of MiB" },
		{ "memory: {total: 4GB}", "'4GB' is no whole number of MiB" },
		{ "memory: {total: 100K}", "'100K' is no whole number of MiB" },
		{ "memory: {total: 4Gi}", "'4Gi' is no size" },
		{ "memory: {total: 4.}", "'4.' is no size" },
		{ "memory: {total: -4G}", "'-4G' is no size" },
		{ "memory: {total: 010}", "'010' is no size" },
		{ "memory: {total: 2048T}", "is out of range -2147483648..2147483647 MiB" },
		{ "memory: {total: 999999999.999T}", "'999999999.999T' is out of range" },
		{ "memory: {total: 99999999999999999999}", "is out of range" },
		{ "memory: {total: \"4\"}", "\"4\" is a string: write it without the quotes" },
		{ "memory: {hp: \"true\"}", "\"true\" is a string" },
		{ "memory: {hp: 1}", "'1' is neither true nor false" },
		{ "vlanid: 4G", "vlanid: '4G' is no whole number" },
		{ "vlanid: 32768", "vlanid: '32768' is out of range -32768..32767" },
		{ "osdisk: {bus: vrtio-blk}", "'vrtio-blk' is none of virtio-blk, virtio-scsi, "
					      "sata, scsi; did you mean 'virtio-blk'?" },
		{ "osdisk: {bus: 4}", "'4' is none of virtio-blk" },
		{ "name: \"a\\0b\"", "name: a string with a NUL in it" },
		{ "a: &a [x, x]\nb: [*a, *a]", "line 1: the document: unknown key 'a'" },
		{ "name: &a x", "line 1: name: the anchor 'a'" },
		{ "name: *a", "line 1: name: the anchor 'a'" },
		{ "name: !!str x", "line 1: name: the tag 'tag:yaml.org,2002:str'" },
		{ "name: a\n---\nname: b", "line 2: the document: a second one begins here" },
		{ "\"name\\0x\": a", "line 1: the document: a key with a NUL in it" },
		{ "\xef\xbb\xbf# a\nname: \xff", "line 2: no YAML or JSON: invalid leading UTF-8" },
		{ "name: a\n b: c", "line 2: no YAML or JSON: mapping values are not allowed" },
		{ "{\"name\":\"\\ud83d\"}", "no YAML or JSON: found invalid Unicode" },
		{ "# a\nname: \xff", "line 2: no YAML or JSON: invalid leading UTF-8 octet" },
		{ "$a: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "nested deeper than 16 levels" },
	};
	struct vmdef def, none = { 0 };
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(decode(cases[i].text, strlen(cases[i].text), &def, &err), -1);
		if (!strstr(err.detail, cases[i].words))
			fail_msg("'%s': %s", cases[i].text, err.detail);
		assert_int_equal(err.status, CLIENT_ERROR_STATUS);
		assert_memory_equal(&def, &none, sizeof(def));
	}
}

/* A definition under a key of its own is the only one, too. */
static void
test_one_under_a_key(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "uuid: x\ndef: {name: a}\nrunstate: {x: [y]}\n", NULL },
		{ "def: {name: a}\nuuid: x\ndef: {name: b}\n",
		    "line 3: def: the key is there twice" },
		{ "def:\n  name: a\n---\ndef:\n  name: b\n",
		    "line 3: the document: a second one begins here" },
		{ "def: {name: a}\n---\nname: b\n", "line 2: the document: a second one" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct yaml_text yaml = {
			.data = cases[i].text, .len = strlen(cases[i].text), .under = "def"
		};
		struct vmdef def = { 0 };
		struct error err = { 0 };
		int rc = yaml_decode(&yaml, &vmdef_model, &def, &err);

		assert_int_equal(rc, cases[i].words ? -1 : 0);
		if (cases[i].words && !strstr(err.detail, cases[i].words))
			fail_msg("'%s': %s", cases[i].text, err.detail);
		assert_string_equal(str_or_empty(def.name), cases[i].words ? "" : "a");
		model_clear(&vmdef_model, &def);
	}
}

/* What is as large as a file may be is refused before it has cost more than its own size. */
static void
test_what_is_large(void **state)
{
	enum { SIZE = 1 << 20 };
	static const char *const pieces[] = { "[", "{", "\"", "- ", "? ", "a: ", "[a, " };
	_free_ char *text = xcalloc(SIZE, 1);
	struct vmdef def;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		for (size_t at = 0; at < SIZE; at++)
			text[at] = pieces[i][at % strlen(pieces[i])];
		memcpy(text, "$a:\n", 4);
		assert_int_equal(decode(text, SIZE, &def, &err), -1);
		assert_true(err.detail[0] != '\0');
	}
}

/* All that the random model makes goes into a file by 'get vm', and out of it by 'update vm'. */
static void
test_what_get_prints(void **state)
{
	struct verb_fixture *f = *state;
	struct random r = { 20261203 };

	for (size_t i = 0; i < REQUESTS_MAX / 2; i++) {
		_free_ char *answer = NULL, *def = NULL, *line = NULL;
		struct vm vm = { 0 };

		random_fill(&r, &vm_model, &vm);
		answer = json_encode(&vm_model, &vm, NULL);
		def = json_encode(&vmdef_model, &vm.def, NULL);
		verb_answer_json(f, answer);
		line = xasprintf("get vm -o %s " VM_UUID, i % 2 ? "yaml" : "json");
		verb_ok(f, line);
		verb_file(f, f->out);
		verb_forget(f);
		verb_answer(f, 204, "", "");
		verb_ok(f, "update vm " VM_UUID " FILE");
		verb_asked(f, f->n_requests - 1, "PUT /vms/" VM_UUID, def);
		model_clear(&vm_model, &vm);
	}
}

/* Wherever they are, and whatever they say. */
static void
test_unknown_keys(void **state)
{
	static const char text[] =
	    "def:\n"
	    "  name: web\n"
	    "  numa: {nodes: [1, -2.5, 010, 'a\"b', yes, true, ~, {x: {}}, []]}\n"
	    "  disks:\n"
	    "  - path: a\n"
	    "  - {cache: none, path: b}\n"
	    "  watchdog: \"1\"\n"
	    "  $comment: x\n";
	struct verb_fixture *f = *state;

	verb_file(f, text);
	verb_fails(f, "create vm FILE", COMMAND_FAILED,
	    "line 3: def.numa: unknown key 'nodes'; there are placement");
	verb_forget(f);
	verb_answer(f, 201, "", "\"u\"");
	verb_ok(f, "create vm --force -h " HOST_UUID " FILE");
	verb_asked(f, 0, "POST /vms",
	    "\"numa\":{\"placement\":false,\"nodes\":[1,-2.5,\"010\",\"a\\\"b\",\"yes\",true,null,"
	    "{\"x\":{}},[]]}");
	verb_asked(f, 0, "POST /vms", "\"size\":0,\"cache\":\"none\"}],\"nets\":[]");
	verb_asked(
	    f, 0, "POST /vms", "\"custom\":[],\"watchdog\":\"1\"},\"host\":\"" HOST_UUID "\"}");
	assert_null(strstr(f->requests[0].body, "comment"));
	verb_forget(f);
	verb_answer(f, 204, "", "");
	verb_ok(f, "update vm -f " VM_UUID " FILE");
	verb_asked(f, 1, "PUT /vms/" VM_UUID,
	    ",\"watchdog\":\"1\"},\"deletestorage\":false,\"force\":true}");
	verb_file(f, "name: {$a: b}");
	verb_fails(f, "update vm -f " VM_UUID " FILE", COMMAND_FAILED, "one value belongs here");
	verb_file(f, "a: [*b]");
	verb_fails(f, "update vm -f " VM_UUID " FILE", COMMAND_FAILED, "the anchor 'b'");
	verb_file(f, "a: {[b]: c}");
	verb_fails(f, "update vm -f " VM_UUID " FILE", COMMAND_FAILED, "a key is one word");
	verb_file(f, "a: \"\\0\"");
	verb_fails(f, "update vm -f " VM_UUID " FILE", COMMAND_FAILED, "a string with a NUL");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_one_under_a_key),
		cmocka_unit_test(test_what_is_large),
		TEST(test_what_get_prints),
		TEST(test_unknown_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
