/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What somebody may do. Each role has all that those before it have. */
#ifndef PROTO_ROLE_H
#define PROTO_ROLE_H

#include "proto/table.h"

enum role {
	ROLE_NONE,
	ROLE_VIEWER,   /* look at everything */
	ROLE_OPERATOR, /* make, change and use VMs */
	ROLE_ADMIN,    /* hosts, the storage and who may do what */
	ROLE_HOST,     /* what hosts of the cluster ask each other; nobody is given it */
};
extern const struct enumdef role_enum; /* those that somebody may be given, and none */

/* "viewer" .. "host". */
const char *role_name(enum role role);

#endif
