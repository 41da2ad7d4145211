/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of the fields of a definition is what its check does. */
#include "verb_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/model.h"
#include "proto/vmdef.h"
#include "virtx/answer.h"
#include "virtx/field_info.h"
#include "virtx/yaml_read.h"

/* A definition with one of everything, each field of which may be left out that need not be there.
 */
static const char base[] = "{name: web, cpudef: {model: qemu64, sockets: 1, cores: 1, threads: 1},"
			   " memory: {total: 1G}, osdisk: {path: /vms/ds/web.qcow2},"
			   " disks: [{path: /vms/ds/data.qcow2}], nets: [{name: br0}],"
			   " custom: [{name: owner, value: ann}]}";

/* A field of the definition, and what has it. */
struct target {
	const struct field *f;
	void *obj;
};

static void
read_yaml(const char *text, struct vmdef *def)
{
	const struct yaml_text yaml = { .data = text, .len = strlen(text) };
	struct error err = { 0 };

	memset(def, 0, sizeof(*def));
	if (yaml_decode(&yaml, &vmdef_model, def, &err) < 0)
		fail_msg("'%s': %s", text, err.detail);
}

/* Takes the first element of a list; the path is below FIELD_INFO_ROOT. */
static struct target
find_target(struct vmdef *def, const char *path)
{
	const struct model *m = &vmdef_model;
	struct target target = { NULL, def };

	for (;;) {
		size_t len = strcspn(path, "."), n;
		const struct field *f = NULL;

		for (unsigned int i = 0; i < m->n_fields; i++)
			if (strlen(m->fields[i].name) == len &&
			    memcmp(m->fields[i].name, path, len) == 0)
				f = &m->fields[i];
		assert_non_null(f);
		target.f = f;
		if (!path[len])
			return target;
		m = f->sub;
		target.obj = f->kind == KIND_ARRAY ? field_items(f, target.obj, &n)
						   : field_member(f, target.obj);
		path += len + 1;
	}
}

static bool
is_fine(struct vmdef *def)
{
	struct error err = { 0 };

	return vmdef_check(def, "/vms", "vmdef", &err) == 0;
}

static void
read_infos(struct field_info_list *list)
{
	struct error err = { 0 };

	memset(list, 0, sizeof(*list));
	assert_int_equal(field_info_read("", list, &err), 0);
	assert_string_equal(list->items[0].path, FIELD_INFO_ROOT);
	assert_true(list->n_items > vmdef_model.n_fields);
}

static const char *
below_root(const struct field_info *info)
{
	return info->path + strlen(FIELD_INFO_ROOT ".");
}

static void
test_examples(void **state)
{
	struct field_info_list list;
	const struct vmdef none = { 0 };
	struct vmdef def;

	read_infos(&list);
	read_yaml(list.items[0].example, &def);
	assert_true(is_fine(&def));
	model_clear(&vmdef_model, &def);
	for (size_t i = 1; i < list.n_items; i++) {
		const struct field_info *info = &list.items[i];

		if (str_empty(info->about))
			fail_msg("nothing is told of '%s'", info->path);
		read_yaml(info->example, &def);
		/* Of hosts only. */
		if (strcmp(info->path, "vmdef.cpudef.nodes") != 0 &&
		    model_equal(&vmdef_model, &def, &none))
			fail_msg("'%s' says nothing", info->example);
		model_clear(&vmdef_model, &def);
	}
	model_clear(&field_info_list_model, &list);
}

static void
test_required(void **state)
{
	struct field_info_list list;
	struct vmdef def;

	read_infos(&list);
	for (size_t i = 1; i < list.n_items; i++) {
		const struct field_info *info = &list.items[i];
		struct target target;

		read_yaml(base, &def);
		assert_true(is_fine(&def));
		target = find_target(&def, below_root(info));
		model_clear_field(target.f, target.obj);
		if (is_fine(&def) == info->required)
			fail_msg("'%s' without it", info->path);
		assert_int_equal(
		    info->required, str_empty(info->initial) && (info->required || !target.f->sub));
		model_clear(&vmdef_model, &def);
	}
	model_clear(&field_info_list_model, &list);
}

/* A string of n bytes that is fine but for that. */
static void
set_length(const struct target *target, const char *path, size_t n)
{
	static const char folder[] = "/vms/ds/", end[] = "b.raw";
	_free_ char *text = xcalloc(n + 1, 1);

	memset(text, 'a', n);
	if (strstr(path, ".path") && n > 32) {
		memcpy(text, folder, strlen(folder));
		for (size_t i = strlen(folder) + 1; i < n - 8; i += 2)
			text[i] = '/';
		memcpy(text + n - strlen(end), end, strlen(end));
	}
	str_set(field_member(target->f, target->obj), text);
}

static void
set_number_of(const struct target *target, size_t n)
{
	model_clear_field(target->f, target->obj);
	for (size_t i = 0; i < n; i++) {
		char **first = field_append(target->f, target->obj);

		/* The path, or the name: the first member of each. */
		*first = xasprintf(target->f->sub == &disk_model ? "/vms/ds/%zu.raw" : "n%zu", i);
	}
}

/* Whether the definition is fine where the number, the length or the elements are so many. */
static bool
is_fine_with(const char *path, int64_t n)
{
	struct target target;
	struct vmdef def;
	bool fine;

	read_yaml(base, &def);
	target = find_target(&def, path);
	if (target.f->kind == KIND_STRING)
		set_length(&target, path, (size_t)n);
	else if (target.f->kind == KIND_ARRAY)
		set_number_of(&target, (size_t)n);
	else
		field_set_int(target.f, target.obj, n);
	fine = is_fine(&def);
	model_clear(&vmdef_model, &def);
	return fine;
}

static void
test_bounds(void **state)
{
	struct field_info_list list;
	size_t n = 0;

	read_infos(&list);
	for (size_t i = 1; i < list.n_items; i++) {
		const struct field_info *info = &list.items[i];
		const char *path = below_root(info);
		int64_t min, max;
		int found = sscanf(info->bounds, "%" SCNd64 " to %" SCNd64, &min, &max);
		bool counts = !str_equal(info->type, "integer");

		if (found < 1)
			continue;
		if (found == 1)
			max = min;
		n++;
		/* No path is that short. */
		if (!(strstr(path, ".path") || is_fine_with(path, min)) ||
		    !is_fine_with(path, max) ||
		    (!(counts && min == 0) && is_fine_with(path, min - 1)) ||
		    (max < INT16_MAX && is_fine_with(path, max + 1)))
			fail_msg("'%s' is not of %s", info->path, info->bounds);
	}
	assert_true(n > 10);
	model_clear(&field_info_list_model, &list);
}

static void
test_shown(void **state)
{
	struct verb_fixture *f = *state;

	verb_ok(f, "explain vmdef.disks.bus");
	assert_string_equal(f->out,
	    "name:     vmdef.disks.bus\n"
	    "type:     enum\n"
	    "words:    0 virtio-blk, 1 virtio-scsi, 2 sata, 3 scsi\n"
	    "required: no\n"
	    "default:  virtio-blk\n"
	    "example:  disks: [{bus: virtio-scsi}]\n"
	    "about:    A lun is only on virtio-scsi; a cdrom on virtio-scsi, sata or scsi\n");
	verb_ok(f, "explain memory");
	assert_says(f->out, "example:  memory: {total: 4G}\n");
	assert_says(
	    f->out, "\nvmdef.memory.total  integer  yes       -        1 to 2147483647 MiB");
	assert_null(strstr(f->out, "vmdef.numa"));
	verb_ok(f, "explain -o name nets[0]");
	assert_string_equal(f->out,
	    "vmdef.nets\nvmdef.nets.name\nvmdef.nets.nettype\nvmdef.nets.model\n"
	    "vmdef.nets.mac\n");
	verb_ok(f, "explain -o json disks[].size");
	assert_says(f->out, "\"path\": \"vmdef.disks.size\"");
	assert_says(f->out, "\"unit\": \"MiB\"");
	assert_says(f->out, "\"default\": \"0\"");
	verb_ok(f, "explain");
	assert_says(f->out, "name:     vmdef\n");
	assert_says(f->out, "\nvmdef.custom.value ");
	assert_int_equal(f->n_requests, 0);
}

static void
test_unknown(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "explain vmdef.disks.buss",
		    "'vmdef.disks' has no field 'buss'; did you mean 'vmdef.disks.bus'?" },
		{ "explain dsks.bus", "did you mean 'vmdef.disks'?" },
		{ "explain bus", "'vmdef' has no field 'bus'; did you mean 'vmdef.osdisk.bus'?" },
		{ "explain vmdeff", "did you mean 'vmdef'?" },
		{ "explain disks[0", "did you mean 'vmdef.disks'?" },
		{ "explain nosuchthing", "'virtx explain vmdef' shows which there are" },
		{ "explain vmdef.nets.", "'virtx explain vmdef.nets' shows which there are" },
		{ "explain name.x", "'vmdef.name' is one value and has no fields" },
		{ "explain name disks", "'disks' is one argument too many" },
	};
	struct verb_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		verb_fails(f, cases[i].line, COMMAND_USAGE, cases[i].words);
		assert_string_equal(str_or_empty(f->out), "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_bounds),
		TEST(test_shown),
		TEST(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
