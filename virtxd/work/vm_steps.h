/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that creating, deleting and healing a VM share. */
#ifndef WORK_VM_STEPS_H
#define WORK_VM_STEPS_H

#include <libvirt/libvirt.h>

#include "domain/journal.h"
#include "proto/error.h"
#include "work/requests.h"

#define _journal_ __attribute__((cleanup(journal_clear)))

void journal_clear(struct journal *journal);

/* Undefines the VM with all that libvirt keeps of it on this host; one that libvirt does not know
 * is fine. 422 while it is on. */
int vm_undefine(
    const struct work_env *env, virConnectPtr conn, const char *uuid, struct error *err);
/* Adds to the journal a disk, or the VM's own lease, that its operation makes, and whether it is
 * adopted. */
int vm_plan_disk(const struct work_env *env, struct journal *journal, const struct disk *disk,
    struct error *err);
/*
 * Makes the VM's own lease and all disks of def that the journal plans, telling the report; fills
 * def's sizes. admin: one asks for them. A failure leaves what was made to vm_roll_back.
 */
int vm_make_disks(const struct work_env *env, const struct journal *journal, bool admin,
    struct vmdef *def, struct vm_report *report, struct error *err);
/* Saves libvirt's definition to the registry of this host. */
int vm_register(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err);
/* Defines the VM in libvirt, and registers what libvirt made of it. */
int vm_define(const struct work_env *env, virConnectPtr conn, const char *uuid,
    const struct vmdef *def, struct error *err);
/* The same for XML. */
int vm_define_xml(const struct work_env *env, virConnectPtr conn, const char *uuid, const char *xml,
    struct error *err);
/* Adds to the warning of a result, NULL or the caller's. */
void vm_add_warning(char **warning, const char *fmt, ...) PRINTF(2, 3);
/* vm_leases_record() for a VM that has just begun to run, which a failure does not change: a
 * warning tells it, and it is tried again when the VMs are collected. */
void vm_record_leases(virDomainPtr domain, const char *uuid, char **warning);
/* The inactive XML with its secrets; the caller's, or NULL. */
char *vm_xml(virDomainPtr domain, const char *uuid, struct error *err);
/*
 * Carries what the journal intends to its end, from wherever it stands: what was made stays, what
 * is dropped goes, and a VM that is deleted is undefined and unregistered. Storage that cannot be
 * let go of is told in *warning, and stays in the journal for some minutes, to be tried again.
 */
int vm_roll_forward(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    char **warning, struct error *err);
/* What an earlier update could not let go of becomes the matter of this journal, but for what def
 * has (NULL: nothing). What would be let go of in another way, or not by this host, is left for a
 * repair, which *warning says instead of what it said before. */
void vm_carry_over(
    const struct work_env *env, struct journal *journal, const struct vmdef *def, char **warning);
/* Undoes a create or the new disks of an update, as far as they came. The journal goes last, so
 * that what fails is tried again. */
int vm_roll_back(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    struct error *err);

#endif
