/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether sanlock keeps the leases of the VMs that run here. After sanlock has died it does not
 * know their processes any more, and nothing makes it know them again: another host may take their
 * leases, at once where this host has joined the lockspace anew.
 */
#ifndef WORK_PROTECTION_H
#define WORK_PROTECTION_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "work/requests.h"

#define PROTECTION_PROBLEM "unprotected"

/*
 * Appends a problem for each VM that is on, has leases, and does not have them kept. Where sanlock
 * does not answer (answers is false) that is each that has leases. kill ends those that sanlock
 * does not know, which is told in the log; those that are left are appended.
 */
int protection_find(virConnectPtr conn, bool answers, bool kill, struct host_problem **problems,
    size_t *n_problems, struct error *err);

/* 503 that names the VMs for whose sake the lockspace may not be joined. */
int protection_check_join(virConnectPtr conn, bool kill, struct error *err);

#endif
