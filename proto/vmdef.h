/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a Vmdef and its options must satisfy before anything is done with them. */
#ifndef PROTO_VMDEF_H
#define PROTO_VMDEF_H

#include "proto/error.h"
#include "proto/model.h"
#include "proto/vmdef_disks.h"

#define VMDEF_NETS_MAX	       8
#define VMDEF_CUSTOM_MAX       32
#define VMDEF_CUSTOM_BYTES_MAX 256 /* of a name, and of a value */
#define VMDEF_TAG_SIZE	       35  /* of an ETag with its quotes and its NUL */

/*
 * Checks everything that text alone tells; root is the storage root ("/vms"); err is a 400 that
 * names the field with this prefix ("vmdef" gives "vmdef.name"). Drops custom fields with an empty
 * name, and the provisioning of what is never made (unmanaged disks, .iso files): GET shows what
 * was found, and what it shows is fit for create and update.
 */
int vmdef_check(struct vmdef *def, const char *root, const char *prefix, struct error *err);
/*
 * The same for a definition that replaces old: a disk that old has with the same man and prov is
 * not asked whether it could be provisioned, and a name that old has need not be one that a new VM
 * could get.
 */
int vmdef_check_update(struct vmdef *def, const struct vmdef *old, const char *root,
    const char *prefix, struct error *err);
/* The ETag of a definition, another one for each that differs in anything that GET shows. */
void vmdef_tag(const struct vmdef *def, char out[VMDEF_TAG_SIZE]);
/* Whether an If-Match, a list of ETags or "*", is met by this tag. A weak one is by none. */
bool vmdef_tag_matches(const char *tag, const char *if_match);
/* Takes out custom fields without a name, which nobody can ask for. */
void vmdef_drop_nameless(struct vmdef *def);
/* vcpus = nodes are not counted: sockets x cores x threads. */
unsigned int vmdef_vcpus(const struct vmdef *def);
/* Whether its CPU is of a model by name, and not what the host has. */
bool vmdef_names_model(const struct vmdef *def);
/* force 0..2. */
int vm_shutdown_options_check(const struct vm_shutdown_options *options, struct error *err);
/* Types and numbers; the host is a UUID or "". What only a live migration has is refused for a cold
 * one. */
int vm_migrate_options_check(const struct vm_migrate_options *options, struct error *err);
/* Host and operation are UUIDs, and no number is negative or too large to be counted. */
int vm_reservation_check(const struct vm_reservation *reservation, struct error *err);
int vm_reservation_end_check(const struct vm_reservation_end *end, struct error *err);
/* Names known, no name twice, at least one of userdata and networkconfig, each at most 256 KiB. An
 * empty list is fine. */
int vm_boot_options_check(const struct vm_boot_options *options, struct error *err);

#endif
