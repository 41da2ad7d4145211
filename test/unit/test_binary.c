/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "models.h"
#include "proto/binary.h"
#include "proto/json.h"
#include "random_model.h"

/*
 * An entry of vectors.json. Its fields are those of whatever event the label names, all flat: one
 * struct has them all, and a table for each label picks its own in their order.
 */
struct fields {
	char *uuid, *host, *name, *arch, *vendor, *model, *osid, *osv;
	enum vmrunstate runstate;
	enum cstate cstate;
	int16_t vlanid, vcpus, nodes, sockets, cores, threads;
	int32_t memoryavailable, hpavailable;
	struct custom_field *custom;
	size_t n_custom;
	int64_t ts;
};

#define ROW(m)	       FIELD(#m, struct fields, m)
#define ROW_ENUM(m, E) FIELD_ENUM(#m, struct fields, m, E)
#define ROW_CUSTOM     FIELD_ARRAY("custom", struct fields, custom, custom_field)
#define MODEL(rows)                                                  \
	{                                                            \
#rows, sizeof(struct fields), rows, ARRAY_SIZE(rows) \
	}

static const struct field ve_rows[] = { ROW(uuid), ROW(host), ROW_ENUM(runstate, vmrunstate),
	ROW(ts) };
static const struct field vi_rows[] = { ROW(uuid), ROW(host), ROW_ENUM(runstate, vmrunstate),
	ROW(ts), ROW(name), ROW(vlanid), ROW_CUSTOM, ROW(vcpus) };
static const struct field hi_rows[] = { ROW(uuid), ROW(name), ROW(arch), ROW(vendor), ROW(model),
	ROW(nodes), ROW(sockets), ROW(cores), ROW(threads), ROW_ENUM(cstate, cstate),
	ROW(memoryavailable), ROW(hpavailable), ROW(osid), ROW(osv), ROW(ts) };
static const struct field fields_rows[] = { ROW(uuid), ROW(host), ROW(name), ROW(arch), ROW(vendor),
	ROW(model), ROW(osid), ROW(osv), ROW_ENUM(runstate, vmrunstate), ROW_ENUM(cstate, cstate),
	ROW(vlanid), ROW(vcpus), ROW(nodes), ROW(sockets), ROW(cores), ROW(threads),
	ROW(memoryavailable), ROW(hpavailable), ROW_CUSTOM, ROW(ts) };
static const struct model ve_model = MODEL(ve_rows);
static const struct model vi_model = MODEL(vi_rows);
static const struct model hi_model = MODEL(hi_rows);
static const struct model fields_model = MODEL(fields_rows);

struct vector {
	char *label, *hex;
	struct fields fields;
};
static const struct field vector_rows[] = {
	FIELD("label", struct vector, label),
	FIELD("hex", struct vector, hex),
	FIELD_STRUCT("fields", struct vector, fields, fields),
};
static const struct model vector_model = { "Vector", sizeof(struct vector), vector_rows,
	ARRAY_SIZE(vector_rows) };

struct vectors {
	struct vector *items;
	size_t n_items;
};
static const struct field vectors_rows[] = { FIELD_ARRAY("items", struct vectors, items, vector) };
static const struct model vectors_model = { "Vectors", sizeof(struct vectors), vectors_rows,
	ARRAY_SIZE(vectors_rows) };

static void
load_vectors(struct vectors *vectors)
{
	const char *root = getenv("VIRTX_SOURCE_ROOT");
	_free_ char *path = xasprintf("%s/test/golden/vectors.json", root ? root : ".");
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_buffer_ struct buffer text = { 0 };
	struct error err = { 0 };

	assert_true(fd >= 0);
	/* The file is a bare array. */
	buffer_printf(&text, "{\"items\":");
	assert_int_equal(read_all(fd, &text, 1 << 20), 0);
	buffer_printf(&text, "}");
	if (json_decode(&vectors_model, text.data, text.len, vectors, &err) < 0)
		fail_msg("%s: %s", path, err.detail);
}

static void
unhex(const char *hex, struct buffer *out)
{
	for (; hex[0] && hex[1]; hex += 2) {
		char byte = (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));

		buffer_add(out, &byte, 1);
	}
}

static const struct {
	const char *label;
	const struct model *flat, *real;
} labels[] = {
	{ GOSSIP_VM_EVENT, &ve_model, &vm_event_model },
	{ GOSSIP_VM_INFO, &vi_model, &vm_info_model },
	{ GOSSIP_HOST_INFO, &hi_model, &host_info_model },
};

static void
check_vector(const struct vector *v, const struct model *flat, const struct model *real)
{
	_buffer_ struct buffer expected = { 0 }, encoded = { 0 };
	struct fields fields = { 0 };
	_free_ void *obj = xcalloc(1, real->size);
	struct error err = { 0 };

	unhex(v->hex, &expected);
	assert_int_equal(binary_encode(flat, &v->fields, &encoded), 0);
	assert_int_equal(encoded.len, expected.len);
	assert_memory_equal(encoded.data, expected.data, expected.len);
	assert_int_equal(
	    binary_decode(flat, expected.data, expected.len, &fields, &err), expected.len);
	assert_true(model_equal(flat, &fields, &v->fields));
	model_clear(flat, &fields);

	assert_int_equal(binary_decode(real, expected.data, expected.len, obj, &err), expected.len);
	buffer_clear(&encoded);
	assert_int_equal(binary_encode(real, obj, &encoded), 0);
	assert_int_equal(encoded.len, expected.len);
	assert_memory_equal(encoded.data, expected.data, expected.len);
	model_clear(real, obj);

	/* Short at every length. */
	for (size_t len = 0; len < expected.len; len++) {
		_free_ char *cut = xcalloc(1, len);

		memcpy(cut, expected.data, len);
		assert_int_equal(binary_decode(real, cut, len, obj, &err), -1);
		assert_int_equal(err.status, 400);
		assert_non_null(strstr(err.detail, "the message ends early"));
	}

	/* What follows is left to the caller. */
	buffer_add(&expected, "more", 4);
	assert_int_equal(
	    binary_decode(real, expected.data, expected.len, obj, &err), expected.len - 4);
	model_clear(real, obj);
}

static void
test_vectors(void **state)
{
	struct vectors vectors = { 0 };

	load_vectors(&vectors);
	assert_int_equal(vectors.n_items, 5);
	for (size_t i = 0; i < vectors.n_items; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(labels); k++) {
			if (str_equal(labels[k].label, vectors.items[i].label)) {
				check_vector(&vectors.items[i], labels[k].flat, labels[k].real);
				known = true;
			}
		}
		assert_true(known);
	}
	model_clear(&vectors_model, &vectors);
}

static void
test_host_info_and_digest(void **state)
{
	struct vectors vectors = { 0 };
	struct host_info info = { 0 };
	struct host_digest digest = { HOST_DIGEST_VERSION, 10000, (int64_t)0xfedcba9876543210u };
	struct host_digest back = { 0 };
	_buffer_ struct buffer bytes = { 0 };
	struct error err = { 0 };
	long used;

	load_vectors(&vectors);
	unhex(vectors.items[4].hex, &bytes);
	assert_int_equal(binary_encode(&host_digest_model, &digest, &bytes), 0);
	used = binary_decode(&host_info_model, bytes.data, bytes.len, &info, &err);
	assert_int_equal(used, bytes.len - 14);
	assert_memory_equal(
	    bytes.data + used, "\x01\x00\x10\x27\x00\x00\x10\x32\x54\x76\x98\xba\xdc\xfe", 14);
	assert_string_equal(info.uuid, "00000001-1111-4222-8333-444444444444");
	assert_string_equal(info.fields.name, "virt1");
	assert_string_equal(info.fields.cpuarch.vendor, "AMD");
	assert_int_equal(info.fields.cpudef.cores, 64);
	assert_int_equal(info.fields.cstate, CSTATE_ACTIVE);
	assert_int_equal(info.fields.hpavailable, -5);
	assert_string_equal(info.fields.osv, "15.6");
	assert_int_equal(binary_decode(&host_digest_model, bytes.data + used,
			     bytes.len - (size_t)used, &back, &err),
	    14);
	assert_true(model_equal(&host_digest_model, &digest, &back));
	model_clear(&host_info_model, &info);
	model_clear(&vectors_model, &vectors);
}

static void
test_random_round_trip(void **state)
{
	const struct model *const *groups[] = { api_models, gossip_models };
	const size_t sizes[] = { ARRAY_SIZE(api_models), ARRAY_SIZE(gossip_models) };
	struct random r = { .state = 99 };

	for (int round = 0; round < 200; round++) {
		for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
			for (size_t i = 0; i < sizes[g]; i++) {
				const struct model *m = groups[g][i];
				_free_ void *a = xcalloc(1, m->size), *b = xcalloc(1, m->size);
				_buffer_ struct buffer bytes = { 0 };
				struct error err = { 0 };

				random_fill(&r, m, a);
				assert_int_equal(binary_encode(m, a, &bytes), 0);
				assert_int_equal(
				    binary_decode(m, bytes.data, bytes.len, b, &err), bytes.len);
				assert_true(model_equal(m, a, b));
				model_clear(m, a);
				model_clear(m, b);
			}
		}
	}
}

static void
expect_refused(const struct model *m, const char *data, size_t len, const char *detail)
{
	_free_ void *obj = xcalloc(1, m->size), *zero = xcalloc(1, m->size);
	struct error err = { 0 };

	assert_int_equal(binary_decode(m, data, len, obj, &err), -1);
	assert_string_equal(err.detail, detail);
	assert_true(model_equal(m, obj, zero));
}

static void
test_bad_bytes(void **state)
{
	expect_refused(&vm_event_model, "\x01\x00u\x01\x00h\x0a\x00\0\0\0\0\0\0\0\0", 16,
	    "runstate: 10 is out of range 0..9");
	expect_refused(&vm_event_model, "\x01\x00u\x01\x00h\xff\xff\0\0\0\0\0\0\0\0", 16,
	    "runstate: -1 is out of range 0..9");
	expect_refused(&vm_event_model, "\x01\x00\xff\x01\x00h\x01\x00\0\0\0\0\0\0\0\0", 16,
	    "uuid: a string that is no UTF-8");
	expect_refused(&vm_event_model, "\x02\x00u\0\x01\x00h\x01\x00\0\0\0\0\0\0\0\0", 17,
	    "uuid: a string with a NUL in it");
	expect_refused(&vmdef_memory_model, "\0\0\0\0\x02", 5, "hp: 2 is no boolean");
	/* 65535 elements are said, none is there. */
	expect_refused(&vm_boot_options_model, "\xff\xff", 2, "cloud_init: the message ends early");
	expect_refused(&vm_boot_options_model,
	    "\x01\x00\xff\xff"
	    "ab",
	    6, "cloud_init[0]: name: the message ends early");
}

static void
test_too_big(void **state)
{
	_free_ char *big = xcalloc(1, 65537);
	struct vm_event event = { .uuid = big };
	struct oplog_list list = { 0 };
	_buffer_ struct buffer out = { 0 };

	memset(big, 'a', 65536);
	assert_int_equal(binary_encode(&vm_event_model, &event, &out), -EMSGSIZE);
	assert_int_equal(out.len, 0);
	buffer_add(&out, "x", 1);
	event.uuid = NULL;
	event.host = big;
	assert_int_equal(binary_encode(&vm_event_model, &event, &out), -EMSGSIZE);
	assert_string_equal(out.data, "x");
	big[65535] = '\0';
	assert_int_equal(binary_encode(&vm_event_model, &event, &out), 0);
	assert_int_equal(out.len, 1 + 2 + 2 + 65535 + 2 + 8);

	list.items = xcalloc(65536, sizeof(*list.items));
	list.n_items = 65536;
	assert_int_equal(binary_encode(&oplog_list_model, &list, &out), -EMSGSIZE);
	list.n_items = 65535;
	assert_int_equal(binary_encode(&oplog_list_model, &list, &out), 0);
	free(list.items);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_host_info_and_digest),
		cmocka_unit_test(test_random_round_trip),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
