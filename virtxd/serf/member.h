/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A member as serf tells of it. */
#ifndef SERF_MEMBER_H
#define SERF_MEMBER_H

#include "proto/model.h"

struct serf_tag {
	char *key;
	char *value; /* NULL, of one that is to be set: it is deleted */
};

struct serf_member {
	char *name;
	char addr[46]; /* text of the IP address */
	uint16_t port;
	enum cstate cstate; /* active, left or failed */
	struct serf_tag *tags;
	size_t n_tags;
};

#endif
