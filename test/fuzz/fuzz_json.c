/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads JSON as the model that the first byte chooses; what was read must survive being written and
 * read again. */
#include <string.h>

#include "proto/json.h"
#include "proto/problem.h"
#include "proto/vmdef.h"
#include "test/unit/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const struct model *m, const void *obj)
{
	_free_ void *again = xcalloc(1, m->size), *copy = xcalloc(1, m->size);
	struct error err = { 0 };
	size_t len;
	_free_ char *text = json_encode(m, obj, &len);

	if (json_decode(m, text, len, again, &err) < 0 || !model_equal(m, obj, again))
		abort();
	model_copy(m, copy, obj);
	if (!model_equal(m, obj, copy))
		abort();
	model_clear(m, again);
	model_clear(m, copy);
}

static void
try_string(const char *text, size_t len)
{
	_free_ char *string = NULL, *quoted = NULL, *again = NULL;
	struct error err = { 0 };

	if (json_decode_string(text, len, &string, &err) < 0)
		return;
	quoted = json_quote(string);
	if (json_decode_string(quoted, strlen(quoted), &again, &err) < 0 ||
	    !str_equal(string, again))
		abort();
}

static void
try_vmdef(struct vmdef *def)
{
	struct error err = { 0 };
	unsigned int leases = vmdef_leases(def);

	if (vmdef_check(def, "/vms", "vmdef", &err) < 0) {
		if (err.status != 400)
			abort();
	} else if (vmdef_vcpus(def) == 0 || leases > VMDEF_MANAGED_MAX) {
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct model *m;
	_free_ void *obj = NULL;
	_free_ char *text = NULL;
	struct error err = { 0 };

	if (size == 0)
		return 0;
	m = api_models[data[0] % ARRAY_SIZE(api_models)];
	obj = xcalloc(1, m->size);
	/* A block of its own size, so that a read past its end is seen. */
	text = xcalloc(1, size - 1);
	memcpy(text, data + 1, size - 1);

	if (json_decode(m, text, size - 1, obj, &err) < 0) {
		if (err.status != 400 || !err.detail[0])
			abort();
	} else {
		round_trip(m, obj);
		if (m == &vmdef_model)
			try_vmdef(obj);
		else if (m == &vm_boot_options_model)
			vm_boot_options_check(obj, &err);
	}
	model_clear(m, obj);
	try_string(text, size - 1);
	problem_decode(&err, 0, text, size - 1);
	return 0;
}
