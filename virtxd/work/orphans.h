/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is on the storage and belongs to a VM that is no more. */
#ifndef WORK_ORPHANS_H
#define WORK_ORPHANS_H

#include <libvirt/libvirt.h>

#include "domain/registry.h"
#include "proto/error.h"
#include "work/requests.h"

/* Kinds of problems. */
#define ORPHAN_LEASE	"lease-without-vm" /* path is of the resource; vm "" where it has no owner */
#define ORPHAN_IMAGE	"image-without-vm" /* the image of such a lease */
#define ORPHAN_LEFTOVER "unfinished-by-vm" /* a half-made resource or image */
#define ORPHAN_NVRAM	"nvram-without-vm" /* UEFI variables */

#define ORPHAN_STALE "lease-without-disk" /* its VM is here, and has no such disk */

/* A lease that a VM of this host should have. */
struct orphan_expected {
	char vm[37];
	char lease[49];
	/* It is not missed: of the cloud-init CD, which is there while the VM is on, of what a disk
	 * stands on, or of a disk or the VM where the domain does not name it. */
	bool comes_and_goes;
};

/* What is known already. Free the array expected. */
struct orphan_knowledge {
	const struct registry_entry *entries; /* of all hosts */
	size_t n_entries;
	struct orphan_expected *expected;
	size_t n_expected;
};

/*
 * Tells of a VM that is registered here: its own, those of the disks of its definition, those that
 * its domain names (the definition, or the one that runs), and those of its disks' backing files.
 * On failure the VM is not told of.
 */
int orphans_expect(struct orphan_knowledge *knowledge, virDomainPtr domain, const char *root,
    const char *vm, const struct vmdef *def, struct error *err);
/* Whether the definition has a lease of that name. */
int orphans_is_named(virDomainPtr domain, const char *lease, bool *ret, struct error *err);
/* Whether the VM should have that lease; *told tells whether the VM was told of at all. */
bool orphans_is_expected(
    const struct orphan_knowledge *knowledge, const char *vm, const char *lease, bool *told);
/*
 * Adds to res what was left behind. What is younger than some minutes is passed over, and so is
 * what bears the uuid of a VM that vm_presence sees. All of req->known are looked at again, and
 * req->limit more resources; images are walked through when that is asked for, or a lease was found
 * whose image is not known.
 */
int orphans_find(const struct reconcile_request *req, virConnectPtr conn,
    const struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err);
/* Whether any VM of this host should have that lease. */
bool orphans_is_anyones(const struct orphan_knowledge *knowledge, const char *lease);
/* Of a VM that is no more. */
bool problem_is_orphan(const struct host_problem *problem);
/* The resource that a problem of a lease is about. */
const char *orphan_lease_name(const struct host_problem *problem);
/* The name of the resource of an image. */
int orphan_image_lease(const char *root, const char *path, char name[49], struct error *err);

#endif
