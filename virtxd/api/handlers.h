/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One handler for each route; each is a file of its own, or one of a pair. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/api.h"

void api_host_list(struct api *api, struct request *req);
void api_host_get(struct api *api, struct request *req);
void api_host_forget(struct api *api, struct request *req);
/* virtxd stops: what others are asked to forget is not waited for. */
void forgettings_free(struct api *api);
void api_vm_list(struct api *api, struct request *req);
void api_vm_create(struct api *api, struct request *req);
void api_vm_get(struct api *api, struct request *req);
void api_vm_runstate_get(struct api *api, struct request *req);
void api_vm_update(struct api *api, struct request *req);
void api_vm_delete(struct api *api, struct request *req);
void api_vm_boot(struct api *api, struct request *req);
void api_vm_shutdown(struct api *api, struct request *req);
void api_vm_pause(struct api *api, struct request *req);
void api_vm_resume(struct api *api, struct request *req);
void api_vm_migrate(struct api *api, struct request *req);
void api_migration_get(struct api *api, struct request *req);
void api_migration_abort(struct api *api, struct request *req);
/* virtxd stops: no migration is followed any more; each goes on. */
void migrations_free(struct api *api);
void api_vm_register(struct api *api, struct request *req);
void api_vm_reserve(struct api *api, struct request *req);
void api_vm_reserve_end(struct api *api, struct request *req);
void api_host_repair(struct api *api, struct request *req);
void api_maintenance_get(struct api *api, struct request *req);
void api_maintenance_begin(struct api *api, struct request *req);
void api_maintenance_end(struct api *api, struct request *req);
void api_storage_init(struct api *api, struct request *req);
void api_operation_list(struct api *api, struct request *req);
void api_operation_get(struct api *api, struct request *req);
void api_gossip_vms(struct api *api, struct request *req);
void api_events(struct api *api, struct request *req);
void api_metrics(struct api *api, struct request *req);
void api_problem_get(struct api *api, struct request *req);
void api_openapi(struct api *api, struct request *req);
void api_healthz(struct api *api, struct request *req);
void api_readyz(struct api *api, struct request *req);

#endif
