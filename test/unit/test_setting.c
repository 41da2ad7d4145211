/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields of a definition that are set by 'set vm'. */
#include "verb_fixture.h"

#include <string.h>

#include "proto/json.h"
#include "proto/model.h"
#include "virtx/answer.h"
#include "virtx/failure.h"
#include "virtx/setting.h"

#define DEF                                                                             \
	"{\"name\":\"web\",\"cpudef\":{\"model\":\"qemu64\",\"nodes\":0,\"sockets\":2," \
	"\"cores\":1,\"threads\":1},\"memory\":{\"total\":1024,\"hp\":false},"          \
	"\"nets\":[{\"name\":\"br0\",\"nettype\":1,\"model\":0,\"mac\":\"\"}],"         \
	"\"custom\":[{\"name\":\"a\",\"value\":\"1\"},{\"name\":\"b\",\"value\":\"2\"}]}"
#define VM	"{\"uuid\":\"" VM_UUID "\",\"def\":" DEF "}"
#define TAG	"ETag: \"t1\"\r\n"
#define CHANGED "{\"status\":412,\"detail\":\"it has changed\"}"

static void
read_def(struct vmdef *def)
{
	struct error err;

	memset(def, 0, sizeof(*def));
	assert_int_equal(json_decode(&vmdef_model, DEF, strlen(DEF), def, &err), 0);
}

static void
test_what_is_set(void **state)
{
	static const struct {
		const char *setting, *words;
	} cases[] = {
		{ "name=a=b", "\"name\":\"a=b\"" },
		{ "memory=8G", "\"memory\":{\"total\":8192," },
		{ "memory.total=512", "\"memory\":{\"total\":512," },
		{ "memory.hp=yes", "\"hp\":true" },
		{ "cpus=8", "\"sockets\":2,\"cores\":4,\"threads\":1" },
		{ "cpudef.model=host-model", "\"model\":\"host-model\"" },
		{ "nets[0].model=e1000", "\"nettype\":1,\"model\":2" },
		{ "osdisk.size=20G", "\"size\":20480" },
		{ "firmware=uefi", "\"firmware\":1" },
		{ "custom.b=x.y=z", "{\"name\":\"b\",\"value\":\"x.y=z\"}]" },
		{ "custom.a.c=3", "\"value\":\"2\"},{\"name\":\"a.c\",\"value\":\"3\"}]" },
		{ "custom.a=", "\"custom\":[{\"name\":\"b\",\"value\":\"2\"}]" },
		{ "custom[1].value=x", "{\"name\":\"b\",\"value\":\"x\"}]" },
		{ "genid=", "\"genid\":\"\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text = NULL;
		struct vmdef def;
		struct error err;

		read_def(&def);
		if (setting_apply(&def, cases[i].setting, &err) < 0)
			fail_msg("%s: %s", cases[i].setting, err.detail);
		text = json_encode(&vmdef_model, &def, NULL);
		assert_says(text, cases[i].words);
		model_clear(&vmdef_model, &def);
	}
}

static void
test_what_is_wrong(void **state)
{
	static const struct {
		const char *setting, *words;
	} cases[] = {
		{ "memory", "'memory' is no FIELD=VALUE, as memory=4G is one" },
		{ "=4", "'=4' is no FIELD=VALUE" },
		{ "memroy=4G", "memroy: unknown field 'memroy', did you mean 'memory'?" },
		{ "memory.=4G", "memory.: unknown field ''; there are total, hp" },
		{ "memory=4GB", "memory: '4GB' is no whole number of MiB" },
		{ "memory=", "memory: '' is no size" },
		{ "memory.total.x=1", "'total' is one value and has no fields" },
		{ "cpudef=4", "'cpudef' has fields: name one, as cpudef.model" },
		{ "nets=4", "'nets' is a list: say which one, as nets[0] is the first" },
		{ "nets[]=4", "'nets' is a list" },
		{ "nets[-1].name=4", "'nets' is a list" },
		{ "nets[0=4", "'nets' is a list" },
		{ "nets[1].name=x", "nets has 1, counted from 0" },
		{ "nets[99999999999999999999].name=x", "nets has 1, counted from 0" },
		{ "nets[0]=x", "'nets' has fields: name one, as nets.name" },
		{ "nets[0]name=x", "'nets' has fields" },
		{ "name[0]=x", "'name' is one value and has no fields" },
		{ "cpus=3", "3 cpus are not to be had with 2 sockets and 1 threads" },
		{ "cpus=0", "'0' is no number of CPUs" },
		{ "cpus=many", "'many' is no whole number" },
		{ "custom.=x", "the custom field has no name" },
		{ "nets[0].model=e100", "'e100' is none of virtio, e1000e, e1000" },
	};
	struct vmdef def, before;

	read_def(&before);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { 0 };

		read_def(&def);
		assert_int_equal(setting_apply(&def, cases[i].setting, &err), -1);
		if (!strstr(err.detail, cases[i].words))
			fail_msg("%s: %s", cases[i].setting, err.detail);
		assert_int_equal(err.status, CLIENT_FILE_STATUS);
		assert_true(model_equal(&vmdef_model, &def, &before));
		model_clear(&vmdef_model, &def);
	}
	model_clear(&vmdef_model, &before);
}

static void
test_read_and_sent(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, TAG, VM);
	verb_answer(f, 204, "", "");
	verb_ok(f, "set vm " VM_UUID " memory=8G cpus=4 custom.owner=ann -f");
	verb_asked(f, 0, "GET /vms/" VM_UUID, "");
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "\"memory\":{\"total\":8192,\"hp\":false}");
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "{\"name\":\"owner\",\"value\":\"ann\"}]}");
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "\"deletestorage\":false,\"force\":true}");
	assert_says(f->requests[1].head, "If-Match: \"t1\"\r\n");
	assert_null(strstr(f->requests[0].head, "If-Match"));
	/* All is so already. */
	verb_answer_json(f, VM);
	verb_ok(f, "set vm " VM_UUID " memory=1G");
	assert_int_equal(f->n_requests, 3);
	/* What is wrong is found before it is sent, or asked for. */
	verb_fails(f, "set vm " VM_UUID " memory=8G size=4", COMMAND_FAILED,
	    "cannot set vm '" VM_UUID "': size: unknown field 'size'");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
	assert_int_equal(f->n_requests, 4);
	verb_fails(f, "set vm " VM_UUID " memory=8G cpus", COMMAND_FAILED, "'cpus' is no FIELD");
	verb_fails(f, "set vm " VM_UUID, COMMAND_USAGE,
	    "set vm VM FIELD=VALUE...: FIELD=VALUE is missing");
	assert_int_equal(f->n_requests, 4);
}

/* It is done again with what the other one has left; who is quicker each time wins. */
static void
test_changed_meanwhile(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, TAG, VM);
	verb_answer(f, 412, "", CHANGED);
	verb_answer(f, 200, "ETag: \"t2\"\r\n", "{\"def\":{\"name\":\"www\"}}");
	verb_answer(f, 204, "", "");
	verb_ok(f, "set vm " VM_UUID " memory=8G");
	verb_asked(f, 3, "PUT /vms/" VM_UUID, "\"vmdef\":{\"name\":\"www\"");
	verb_asked(f, 3, "PUT /vms/" VM_UUID, "\"total\":8192");
	assert_says(f->requests[3].head, "If-Match: \"t2\"\r\n");
	verb_forget(f);
	for (int i = 0; i < 4; i++) {
		verb_answer(f, 200, TAG, VM);
		verb_answer(f, 412, "", CHANGED);
	}
	verb_fails(f, "set vm " VM_UUID " memory=8G", COMMAND_FAILED,
	    "cannot set vm '" VM_UUID "': 412: ");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_CONFLICT);
	assert_int_equal(f->n_requests, 4 + 8);
	/* A server that has no tags is asked as before there were any. */
	verb_forget(f);
	verb_answer(f, 200, "", VM);
	verb_answer(f, 204, "", "");
	verb_ok(f, "set vm " VM_UUID " memory=8G");
	assert_null(strstr(f->requests[13].head, "If-Match"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_set),
		cmocka_unit_test(test_what_is_wrong),
		TEST(test_read_and_sent),
		TEST(test_changed_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
