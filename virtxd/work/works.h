/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions behind the table of jobs; each takes the request and result models of its row. */
#ifndef WORK_WORKS_H
#define WORK_WORKS_H

#include "proto/error.h"
#include "work/requests.h"

int work_probe(const void *request, void *result, struct error *err);
int work_collect(const void *request, void *result, struct error *err);
int work_refresh(const void *request, void *result, struct error *err);
int work_whose(const void *request, void *result, struct error *err);
int work_inspect(const void *request, void *result, struct error *err);
int work_reconcile(const void *request, void *result, struct error *err);
int work_storage_check(const void *request, void *result, struct error *err);
int work_storage_look(const void *request, void *result, struct error *err);
int work_storage_init(const void *request, void *result, struct error *err);
int work_lockspace_watch(const void *request, void *result, struct error *err);
int work_watchdog(const void *request, void *result, struct error *err);
int work_lockspace(const void *request, void *result, struct error *err);
int work_vm_check(const void *request, void *result, struct error *err);
int work_vm_create(const void *request, void *result, struct error *err);
int work_vm_update(const void *request, void *result, struct error *err);
int work_vm_delete(const void *request, void *result, struct error *err);
int work_vm_boot(const void *request, void *result, struct error *err);
int work_vm_shutdown(const void *request, void *result, struct error *err);
int work_vm_pause(const void *request, void *result, struct error *err);
int work_vm_resume(const void *request, void *result, struct error *err);
int work_vm_migrate(const void *request, void *result, struct error *err);
int work_vm_stays(const void *request, void *result, struct error *err);
int work_migration_info(const void *request, void *result, struct error *err);
int work_migration_control(const void *request, void *result, struct error *err);
int work_vm_heal(const void *request, void *result, struct error *err);
int work_vm_register(const void *request, void *result, struct error *err);
int work_repair(const void *request, void *result, struct error *err);
int work_maintenance_load(const void *request, void *result, struct error *err);
int work_maintenance_save(const void *request, void *result, struct error *err);

#endif
