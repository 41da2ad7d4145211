/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operation log elements of a domain's metadata: one for each kind, the latest. */
#ifndef DOMAIN_METADATA_H
#define DOMAIN_METADATA_H

#include "proto/error.h"
#include "proto/model.h"

#define METADATA_OP_PREFIX \
	"virtx-op-" /* namespace URI and prefix are this and the operation's name */

/* The element <data-op> of one item, for virDomainSetMetadata; and the key (prefix) and uri for it,
 * which are equal. The caller frees. */
char *metadata_op_build(const struct oplog_item *item);
char *metadata_op_key(const char *op);
/* The operations that are recorded: "VmBoot", "VmPause", "VmResume", "VmShutdown", "VmMigrate". */
bool metadata_op_known(const char *op);

#endif
