/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tells the shared storage from the empty directory that it is mounted on: ROOT/xml holds a
 * file with a uuid of the storage's own. Blocks: jobs only.
 */
#ifndef DOMAIN_MARKER_H
#define DOMAIN_MARKER_H

#include "proto/error.h"

struct marker {
	char uuid[37];
	uint64_t device, inode;
};

/* 503 with what to do where there is none. */
int marker_load(const char *root, struct marker *ret, struct error *err);
/* Makes ROOT/xml and the marker with a new uuid; where there is one already, or another host is
 * quicker, that one is it. */
int marker_make(const char *root, struct marker *ret, struct error *err);

#endif
