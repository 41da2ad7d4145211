/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files that deal with a resource's own file have in common. Private to the layer. */
#ifndef DISK_LEASE_FILE_H
#define DISK_LEASE_FILE_H

#include <sys/types.h>

#include "proto/error.h"

#define LEASE_SECTOR 512
/* Behind the leader, the request block and 2000 hosts. */
#define LEASE_LVB_OFFSET ((off_t)2002 * LEASE_SECTOR)

struct sanlk_resource;

/* The library's description of a resource, the caller's to free(); NULL with a 400. */
struct sanlk_resource *lease_resource_new(const char *name, const char *path, struct error *err);
/* Reads it without the lease, past the page cache; 404 when there is no such file. */
int lease_read_lvb(const char *path, char lvb[LEASE_SECTOR], struct error *err);
/* An LVB is a uuid or nothing ("" then), padded with zeros; -EINVAL for anything else. */
int lease_parse_owner(const char lvb[LEASE_SECTOR], char uuid[37]);

#endif
