/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What somebody may do. Each role has all that those before it have, but the last. */
#ifndef PROTO_ROLE_H
#define PROTO_ROLE_H

#include "proto/table.h"

enum role {
	ROLE_NONE,
	ROLE_VIEWER,   /* look at everything */
	ROLE_OPERATOR, /* make, change and use VMs */
	ROLE_ADMIN,    /* hosts, the storage and who may do what */
	ROLE_HOST,     /* what hosts of the cluster ask each other; nobody is given it */
	ROLE_JOIN,     /* this alone: a host that has a token to join by, and is none of it yet */
};
extern const struct enumdef role_enum; /* those that somebody may be given, and none */

/* Whether who has a role may do what needs another. */
bool role_may(enum role has, enum role needs);
/* "viewer" .. "join". */
const char *role_name(enum role role);

#endif
