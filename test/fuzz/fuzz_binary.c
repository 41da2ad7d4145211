/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads gossip as the model that the first byte chooses; there is one way only to write what was
 * read. */
#include <string.h>

#include "proto/binary.h"
#include "proto/json.h"
#include "test/unit/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct model *m;
	_free_ void *obj = NULL;
	_free_ char *bytes = NULL, *text = NULL;
	_buffer_ struct buffer again = { 0 };
	struct error err = { 0 };
	long used;

	if (size == 0)
		return 0;
	/* Half of the inputs are what really travels. */
	m = data[0] < 128 ? gossip_models[data[0] % ARRAY_SIZE(gossip_models)]
			  : api_models[data[0] % ARRAY_SIZE(api_models)];
	obj = xcalloc(1, m->size);
	bytes = xcalloc(1, size - 1);
	memcpy(bytes, data + 1, size - 1);

	used = binary_decode(m, bytes, size - 1, obj, &err);
	if (used < 0) {
		if (err.status != 400 || !err.detail[0])
			abort();
	} else {
		if (binary_encode(m, obj, &again) < 0 || again.len != (size_t)used ||
		    memcmp(again.data, bytes, again.len) != 0)
			abort();
		text = json_encode(m, obj, NULL);
	}
	model_clear(m, obj);
	return 0;
}
