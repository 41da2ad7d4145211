/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The intent of a create, update, delete, migration or failover, written beside the registry
 * (ROOT/xml/HOST/VM.journal) before its first step and removed after its last, so that whoever
 * comes after a crash knows what to undo or to finish.
 */
#ifndef DOMAIN_JOURNAL_H
#define DOMAIN_JOURNAL_H

#include "proto/error.h"
#include "proto/model.h"

struct journal {
	char *op; /* "VmCreate", "VmUpdate", "VmDelete", "VmMigrate" or "VmFailover" */
	char *uuid;
	struct disk *made; /* disks that the operation makes */
	size_t n_made;
	struct disk
	    *adopted; /* those of made whose leases were the VM's before, and stay its own */
	size_t n_adopted;
	struct disk *dropped; /* disks that it lets go of */
	size_t n_dropped;
	bool deletestorage;
	char *target;	  /* uuid of the host that a VM migrates to, or that it is claimed from */
	char *target_uri; /* of its libvirt, for a migration */
	bool foreign;	  /* it runs no virtxd of this kind */
	bool live;	  /* the VM runs meanwhile, so that QEMU sends what it has */
	int64_t ts;	  /* ms since the epoch */
};
extern const struct model journal_model;

int journal_save(
    const char *root, const char *host, const struct journal *journal, struct error *err);
/* journal must be zero, and stays so when there is none; 507 when it cannot be read or acted on. */
int journal_load(const char *root, const char *host, const char *uuid, struct journal *journal,
    struct error *err);
/* Whether there is one that can be read and not be acted on: err says why, and what heals it. */
bool journal_is_damaged(const char *root, const char *host, const char *uuid, struct error *err);
int journal_remove(const char *root, const char *host, const char *uuid, struct error *err);
/* The host under which the VM has one, "" for none. */
int journal_find(const char *root, const char *uuid, char host[37], struct error *err);
/* The VMs that have one; *ret is an array of n texts of 37 bytes, the caller's. */
int journal_list(
    const char *root, const char *host, char (**ret)[37], size_t *n, struct error *err);

#endif
