/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which hosts were put out of the cluster, as this host has read last: a file of its own, for when
 * it is started while the shared storage is away. Local, and small. */
#ifndef DOMAIN_OUT_COPY_H
#define DOMAIN_OUT_COPY_H

#include "proto/token.h"

#define OUT_COPY_NAME "hosts-out" /* in the state directory */

/* Keeps those of the set, where they differ from what is there. -1 with a 507. */
int out_copy_save(const char *dir, const struct token_set *set, struct error *err);
/* Adds those that were kept to the set; none where there is no file. -1 with a 503, and with those
 * that could be read, where it cannot be read or has something else in it. */
int out_copy_load(const char *dir, struct token_set *set, struct error *err);

#endif
