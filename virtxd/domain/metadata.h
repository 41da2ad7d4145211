/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Elements of a domain's metadata: the operation log, one for each kind, the latest; the mark of a
 * VM that was booted with a cloud-init CD, which its definition does not have; and whether the VM
 * is to be on. */
#ifndef DOMAIN_METADATA_H
#define DOMAIN_METADATA_H

#include "proto/error.h"
#include "proto/model.h"

#define METADATA_OP_PREFIX \
	"virtx-op-" /* namespace URI and prefix are this and the operation's name */

#define METADATA_CD_KEY "virtx-ci" /* namespace URI and prefix */
/* The mark itself, for virDomainSetMetadata; the caller frees. */
char *metadata_cd_build(void);

#define METADATA_WANT "virtx-want" /* namespace URI and prefix */
/*
 * Whether the VM is to be on, for virDomainSetMetadata; the caller frees. excused: it went off, and
 * neither its guest nor who uses the API has asked for that, as where the host goes down. What is
 * not excused is found out from why it is off.
 */
char *metadata_want_build(enum want want, bool excused);

/* The element <data-op> of one item, for virDomainSetMetadata; and the key (prefix) and uri for it,
 * which are equal. The caller frees. */
char *metadata_op_build(const struct oplog_item *item);
char *metadata_op_key(const char *op);
/* The operations that are recorded: "VmBoot", "VmPause", "VmResume", "VmReset", "VmReboot",
 * "VmShutdown", "VmMigrate", "VmFailover". */
bool metadata_op_known(const char *op);

/* Namespace URI and prefix of what is recorded of a running VM's leases: a text in an element of
 * its own, in the live XML alone. */
#define METADATA_LEASES "virtx-leases"
/* The element, for virDomainSetMetadata; the caller frees. */
char *metadata_leases_build(const char *leases);
/* Its text, the caller's; NULL for what is no such element. */
char *metadata_leases_read(const char *element);

#endif
