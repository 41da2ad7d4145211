/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One handler for each route; each is a file of its own, or one of a pair. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "ops/request.h"

struct context;

typedef void (*api_handler)(struct context *ctx, struct request *req);
/* By route_id: each route has its own. */
extern const api_handler api_handlers[ROUTE_N];

void api_host_list(struct context *ctx, struct request *req);
void api_host_get(struct context *ctx, struct request *req);
void api_host_forget(struct context *ctx, struct request *req);
/* virtxd stops: what others are asked to forget is not waited for. */
void forgettings_free(struct context *ctx);
void api_vm_list(struct context *ctx, struct request *req);
void api_vm_create(struct context *ctx, struct request *req);
void api_vm_get(struct context *ctx, struct request *req);
void api_vm_runstate_get(struct context *ctx, struct request *req);
void api_vm_update(struct context *ctx, struct request *req);
void api_vm_delete(struct context *ctx, struct request *req);
void api_vm_boot(struct context *ctx, struct request *req);
void api_vm_shutdown(struct context *ctx, struct request *req);
void api_vm_pause(struct context *ctx, struct request *req);
void api_vm_resume(struct context *ctx, struct request *req);
void api_vm_migrate(struct context *ctx, struct request *req);
void api_migration_get(struct context *ctx, struct request *req);
void api_migration_abort(struct context *ctx, struct request *req);
void api_vm_register(struct context *ctx, struct request *req);
void api_vm_reserve(struct context *ctx, struct request *req);
void api_vm_reserve_end(struct context *ctx, struct request *req);
void api_host_repair(struct context *ctx, struct request *req);
void api_maintenance_get(struct context *ctx, struct request *req);
void api_maintenance_begin(struct context *ctx, struct request *req);
void api_maintenance_end(struct context *ctx, struct request *req);
void api_storage_init(struct context *ctx, struct request *req);
void api_operation_list(struct context *ctx, struct request *req);
void api_operation_get(struct context *ctx, struct request *req);
void api_gossip_vms(struct context *ctx, struct request *req);
void api_events(struct context *ctx, struct request *req);
void api_metrics(struct context *ctx, struct request *req);
void api_problem_get(struct context *ctx, struct request *req);
void api_openapi(struct context *ctx, struct request *req);
void api_healthz(struct context *ctx, struct request *req);
void api_readyz(struct context *ctx, struct request *req);

#endif
