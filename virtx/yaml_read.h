/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads what people write: YAML, and JSON, which is a part of it. libyaml parses. */
#ifndef VIRTX_YAML_READ_H
#define VIRTX_YAML_READ_H

#include "proto/error.h"
#include "proto/table.h"
#include "virtx/unknown.h"

struct yaml_text {
	const char *data;
	size_t len;
	const char *under; /* the key at the top with what is read, all else is passed over; NULL
			    * for the whole document */
	struct unknown_list *unknown; /* where unknown keys go; NULL: they are errors */
};

/* Whether the document is of keys and values, one of them this. */
bool yaml_has_key(const char *data, size_t len, const char *key);
/*
 * Reads a document into obj, which is zero before. Values are as field_read has them. Missing
 * fields and null stay zero, as all of an empty document; unknown and doubled keys are errors, but
 * for those that begin with '$', which are comments. There are no aliases and no tags, nesting ends
 * at 16 levels. On failure obj is cleared and err, of CLIENT_ERROR_STATUS, names the line and the
 * field by its path.
 */
int yaml_decode(const struct yaml_text *text, const struct model *m, void *obj, struct error *err);

#endif
