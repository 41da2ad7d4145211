/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tells the shared storage from the empty directory that it is mounted on: ROOT/xml holds a
 * file with a uuid of the storage's own, and so does each other folder of it that may be a mount of
 * its own. Blocks: jobs only.
 */
#ifndef DOMAIN_MARKER_H
#define DOMAIN_MARKER_H

#include "proto/error.h"

struct marker {
	char uuid[37];
};

/* 503 with what to do where there is none. */
int marker_load(const char *root, struct marker *ret, struct error *err);
/* Makes ROOT/xml and the marker with that uuid, "" for a new one; where there is one already, or
 * another host is quicker, that one is it. */
int marker_make(const char *root, const char *uuid, struct marker *ret, struct error *err);

/* The same in another folder, which is opened as dir; its path says in messages which. uuid is
 * "" where there is none. */
int marker_read(int dir, const char *folder, struct marker *ret, struct error *err);
/* With the uuid of the storage; *ret is what is there then. */
int marker_put(
    int dir, const char *folder, const char *uuid, struct marker *ret, struct error *err);

#endif
