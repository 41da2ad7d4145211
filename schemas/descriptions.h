/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the OpenAPI document says of the fields of a VM's definition; the build makes the table. */
#ifndef SCHEMAS_DESCRIPTIONS_H
#define SCHEMAS_DESCRIPTIONS_H

#include <stddef.h>

struct description {
	const char *model; /* "Disk" */
	const char *field; /* "bus" */
	const char *text;
};
extern const struct description descriptions[];
extern const size_t n_descriptions;

#endif
