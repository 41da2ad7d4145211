/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys of a file that this program does not know, and the server may: they are passed on. */
#ifndef VIRTX_UNKNOWN_H
#define VIRTX_UNKNOWN_H

#include "proto/table.h"

#define UNKNOWN_MAX 100

struct unknown {
	char *path; /* of the object that it is in, "disks[0]"; "" for the outermost */
	char *key;
	char *json; /* its value */
};

/* Zero-initialise it. */
struct unknown_list {
	struct unknown *items;
	size_t n;
};
void unknown_clear(struct unknown_list *list);
#define _unknown_ __attribute__((cleanup(unknown_clear)))

/* As json_encode, with those of the list at their places in the first field of the object, which is
 * a struct. The caller frees. */
char *unknown_encode(const struct unknown_list *list, const struct model *m, const void *obj);

#endif
