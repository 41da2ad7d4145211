/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "models.h"
#include "random_model.h"

static void
test_copy_is_equal_and_deep(void **state)
{
	struct random r = { .state = 1 };

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(api_models); i++) {
			const struct model *m = api_models[i];
			_free_ void *a = xcalloc(1, m->size), *b = xcalloc(1, m->size);

			random_fill(&r, m, a);
			model_copy(m, b, a);
			assert_true(model_equal(m, a, b));
			model_clear(m, a);
			model_copy(m, a, b);
			assert_true(model_equal(m, a, b));
			model_clear(m, a);
			model_clear(m, b);
			assert_true(model_equal(m, a, b));
		}
	}
	model_clear(&vm_model, NULL);
}

/* Changes one field of obj that is neither struct nor array. */
static void
change_scalar(const struct field *f, void *obj)
{
	if (f->kind == KIND_STRING)
		str_set(field_member(f, obj), "changed");
	else if (f->kind == KIND_FLOAT)
		*(float *)field_member(f, obj) += 1;
	else
		field_set_int(f, obj, field_get_int(f, obj) == 1 ? 0 : 1);
}

/* Every scalar below a, changed alone, must make b differ. */
static void
check_each_difference(
    const struct model *root, void *a, void *b, const struct model *m, void *obj, size_t *count)
{
	for (unsigned int i = 0; i < m->n_fields; i++) {
		const struct field *f = &m->fields[i];
		char *items;
		size_t n;

		if (f->kind == KIND_STRUCT) {
			check_each_difference(root, a, b, f->sub, field_member(f, obj), count);
		} else if (f->kind == KIND_ARRAY) {
			items = field_items(f, obj, &n);
			for (size_t k = 0; k < n; k++)
				check_each_difference(
				    root, a, b, f->sub, items + k * f->sub->size, count);
		} else {
			change_scalar(f, obj);
			assert_false(model_equal(root, a, b));
			model_clear(root, b);
			model_copy(root, b, a);
			(*count)++;
		}
	}
}

static void
test_equal_sees_every_field(void **state)
{
	struct random r = { .state = 7 };
	struct vm a = { 0 }, b = { 0 };
	size_t count = 0;

	random_fill(&r, &vm_model, &a);
	model_copy(&vm_model, &b, &a);
	check_each_difference(&vm_model, &a, &b, &vm_model, &a, &count);
	assert_true(count >= 35);

	model_append(&b.def.disks, &b.def.n_disks);
	assert_false(model_equal(&vm_model, &a, &b));
	model_clear(&vm_model, &a);
	model_clear(&vm_model, &b);
}

static void
test_append(void **state)
{
	struct vm_list list = { 0 }, copy;
	const struct field *f = &vm_list_model.fields[0];

	for (int i = 0; i < 1000; i++) {
		struct vm_list_item *item = model_append(&list.items, &list.n_items);

		assert_null(item->uuid);
		item->uuid = xasprintf("%d", i);
	}
	model_copy(&vm_list_model, &copy, &list);
	for (int i = 0; i < 1000; i++) {
		struct vm_list_item *item = field_append(f, &copy);

		item->fields.ts = i;
	}
	assert_int_equal(copy.n_items, 2000);
	assert_string_equal(copy.items[999].uuid, "999");
	assert_int_equal(copy.items[1999].fields.ts, 999);
	model_clear(&vm_list_model, &list);
	model_clear(&vm_list_model, &copy);
	assert_int_equal(copy.n_items, 0);
	assert_null(copy.items);
}

static void
test_null_equals_empty(void **state)
{
	struct net a = { 0 }, b = { 0 };

	b.name = xstrdup("");
	assert_true(model_equal(&net_model, &a, &b));
	model_clear(&net_model, &b);
	assert_null(b.name);
}

static void
test_enum_words(void **state)
{
	assert_string_equal(enum_word(&vmrunstate_enum, VMRUNSTATE_RUNNING), "running");
	assert_string_equal(enum_word(&vmrunstate_enum, 10), "?");
	assert_int_equal(enum_parse(&vmrunstate_enum, "running"), VMRUNSTATE_RUNNING);
	assert_int_equal(enum_parse(&vmrunstate_enum, "4"), VMRUNSTATE_RUNNING);
	assert_int_equal(enum_parse(&disk_bus_enum, "virtio-scsi"), DISK_BUS_VIRTIO_SCSI);
	assert_int_equal(enum_parse(&vmrunstate_enum, "10"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, "-1"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, " 1"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, "1x"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, "Running"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, "18446744073709551616"), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, ""), -1);
	assert_int_equal(enum_parse(&vmrunstate_enum, NULL), -1);
}

static void
test_the_nearest_name(void **state)
{
	static const struct {
		const char *name, *nearest;
	} cases[] = {
		{ "name", "name" },
		{ "nmae", "name" },
		{ "NAME", "name" },
		{ "vlan", "vlanid" },
		{ "osdisc", "osdisk" },
		{ "disk", "disks" },
		{ "net", "nets" },
		{ "firmwares", "firmware" },
		{ "uuid", NULL },
		{ "x", NULL },
		{ "", NULL },
		{ "a name that is far too long to be one, and longer than any", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *nearest = model_nearest(&vmdef_model, cases[i].name);

		if (!str_equal(nearest, cases[i].nearest))
			fail_msg("'%s': '%s'", cases[i].name, str_or_empty(nearest));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_is_equal_and_deep),
		cmocka_unit_test(test_equal_sees_every_field),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_null_equals_empty),
		cmocka_unit_test(test_enum_words),
		cmocka_unit_test(test_the_nearest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
