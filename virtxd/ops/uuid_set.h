/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of UUIDs that wait for something. */
#ifndef OPS_UUID_SET_H
#define OPS_UUID_SET_H

#include "proto/util.h"

struct uuid_entry;

struct uuid_set {
	struct uuid_entry *entries; /* NULL when empty */
};

void uuid_set_add(struct uuid_set *set, const char *uuid);
bool uuid_set_has(const struct uuid_set *set, const char *uuid);
void uuid_set_remove(struct uuid_set *set, const char *uuid);
/* Calls back for each; the set is not changed meanwhile. */
void uuid_set_each(
    const struct uuid_set *set, void (*each)(void *arg, const char *uuid), void *arg);
bool uuid_set_is_empty(const struct uuid_set *set);
/* Takes one out into uuid; false when there is none. */
bool uuid_set_take(struct uuid_set *set, char uuid[37]);
void uuid_set_clear(struct uuid_set *set);

#endif
