/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of the fields of a VM's definition, for people who write one. */
#ifndef VIRTX_FIELD_INFO_H
#define VIRTX_FIELD_INFO_H

#include "proto/error.h"
#include "proto/table.h"

#define FIELD_INFO_ROOT "vmdef" /* the path of the whole definition */

struct field_word {
	char *word;
	int32_t value; /* number of it in the API */
};

struct field_info {
	char *path; /* "vmdef.disks.bus" */
	char *type;
	char *unit;    /* of a number; "" for none */
	bool required; /* in each struct that can have it */
	char *initial; /* "default" in JSON: what one that is left out is; "" of one that is
			  required */
	char *bounds;  /* "" for none but those of the type */
	struct field_word *words;
	size_t n_words;
	char *example; /* a line of YAML, which is a piece of a definition */
	char *about;   /* "description" in JSON */
};

struct field_info_list {
	struct field_info *items;
	size_t n_items;
};
extern const struct model field_info_list_model;

/*
 * Tells of a field, and behind it of all that are within it. The path is that of errors and of 'set
 * vm': FIELD_INFO_ROOT may be left out, and an index counts for nothing ("disks[0].bus"). "" is the
 * whole definition. ret is zero before; the caller clears it. -1 where there is no such field: err,
 * of CLIENT_ERROR_STATUS, says which one may be meant.
 */
int field_info_read(const char *path, struct field_info_list *ret, struct error *err);

#endif
