/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the custom fields of a VM say of who brings it back: "ha" and "ha_order". */
#ifndef PROTO_HA_H
#define PROTO_HA_H

#include "proto/error.h"
#include "proto/model.h"

#define HA_POLICY	 "ha"	    /* "restart" or "none" */
#define HA_ORDER	 "ha_order" /* 1 to 9, the first is brought back first */
#define HA_ORDER_DEFAULT 5

/* Both fields are fine where they are there, or as they were in old (NULL: there was none); else a
 * 400 that names the one that is not, with this prefix. */
int ha_check(
    const struct vmdef *def, const struct vmdef *old, const char *prefix, struct error *err);
extern const struct enumdef ha_policy_enum; /* 0 for "none", 1 for "restart" */
/* The place of one of its words, -1 for others. */
int ha_policy_parse(const char *word);
/* Whether the VM is to be brought back; otherwise is what counts where it says nothing of use. */
bool ha_restarts(const struct vmdef *def, bool otherwise);
int ha_order(const struct vmdef *def);
/* Sets the first field of this name, or adds one. */
void ha_set(struct vmdef *def, const char *name, const char *value);

#endif
