/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes another host's VM this one's, and what ends that wherever it was cut off. The journal
 * of a claim is written here before the registry's file is renamed; who has that file has the VM.
 */
#ifndef WORK_CLAIM_STEPS_H
#define WORK_CLAIM_STEPS_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "domain/journal.h"
#include "work/requests.h"

/* Whether what that host had begun to do to the VM can be ended from here, by what the registry has
 * of the VM; -1 with the reason. Nothing to end is fine. */
int claim_check_journal(const struct work_env *env, const char *from,
    const struct domain_info *info, struct error *err);
/*
 * Defines the VM here by the registry's file, which is this host's by now. What is left of it in
 * libvirt from an earlier stay goes. 424 in libvirt's words, 409 while it is on.
 */
int claim_define(
    const struct work_env *env, virConnectPtr conn, const char *uuid, struct error *err);
/* Ends what the host of before had begun to do to the VM, which is defined here, and records the
 * claim in its log. What fails of it is told in *warning (NULL or the caller's): a repair finds it.
 */
void claim_settle(
    const struct work_env *env, virConnectPtr conn, const struct journal *journal, char **warning);
/* Gives the file back to the host that had it, and removes the journal. */
int claim_undo(const struct work_env *env, const struct journal *journal, struct error *err);
/* Carries a claim that was cut off to its end where the file is here, else forgets it: 1 where the
 * VM is this host's, else 0. The caller holds the VM's lock. */
int claim_recover(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    char **warning, struct error *err);

#endif
