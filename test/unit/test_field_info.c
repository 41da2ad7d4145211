/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of the fields of a definition is what its check does. */
#include "verb_fixture.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_required),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
