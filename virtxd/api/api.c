/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/api.h"

#include "api/answer_news.h"
#include "api/handlers.h"
#include "api/parameters.h"
#include "api/request_owner.h"
#include "ops/context.h"
#include "ops/dry_run.h"
#include "ops/migration.h"
#include "ops/migration_follower.h"
#include "ops/reservation_client.h"
#include "ops/task.h"

const api_handler api_handlers[ROUTE_N] = {
	[ROUTE_HOST_LIST] = api_host_list,
	[ROUTE_HOST_GET] = api_host_get,
	[ROUTE_HOST_FORGET] = api_host_forget,
	[ROUTE_VM_LIST] = api_vm_list,
	[ROUTE_VM_CREATE] = api_vm_create,
	[ROUTE_VM_GET] = api_vm_get,
	[ROUTE_VM_UPDATE] = api_vm_update,
	[ROUTE_VM_DELETE] = api_vm_delete,
	[ROUTE_VM_RUNSTATE_GET] = api_vm_runstate_get,
	[ROUTE_VM_BOOT] = api_vm_boot,
	[ROUTE_VM_SHUTDOWN] = api_vm_shutdown,
	[ROUTE_VM_PAUSE] = api_vm_pause,
	[ROUTE_VM_RESUME] = api_vm_resume,
	[ROUTE_VM_MIGRATE] = api_vm_migrate,
	[ROUTE_MIGRATION_GET] = api_migration_get,
	[ROUTE_MIGRATION_ABORT] = api_migration_abort,
	[ROUTE_VM_REGISTER] = api_vm_register,
	[ROUTE_VM_RESERVE] = api_vm_reserve,
	[ROUTE_VM_RESERVE_END] = api_vm_reserve_end,
	[ROUTE_HOST_REPAIR] = api_host_repair,
	[ROUTE_MAINTENANCE_GET] = api_maintenance_get,
	[ROUTE_MAINTENANCE_BEGIN] = api_maintenance_begin,
	[ROUTE_MAINTENANCE_END] = api_maintenance_end,
	[ROUTE_STORAGE_INIT] = api_storage_init,
	[ROUTE_OPERATION_LIST] = api_operation_list,
	[ROUTE_OPERATION_GET] = api_operation_get,
	[ROUTE_GOSSIP_VMS] = api_gossip_vms,
	[ROUTE_EVENTS] = api_events,
	[ROUTE_METRICS] = api_metrics,
	[ROUTE_PROBLEM_GET] = api_problem_get,
	[ROUTE_OPENAPI] = api_openapi,
	[ROUTE_HEALTHZ] = api_healthz,
	[ROUTE_READYZ] = api_readyz,
};

void
api_handle(struct context *ctx, struct request *req)
{
	char host[UUID_TEXT_SIZE];
	struct error err = { 0 };

	answer_news_attach(ctx, req);
	if (parameters_check(req, &err) < 0 || request_owner_find(ctx, req, host, &err) < 0)
		request_reply_error(req, &err);
	else if (!str_empty(host))
		ctx->host_ops->forward(ctx->host_arg, req, host);
	else
		api_handlers[req->route->id](ctx, req);
}

void
api_stop(struct context *ctx)
{
	migration_followers_free(ctx);
	migrations_free(ctx);
	reservation_clients_free(ctx);
	forgettings_free(ctx);
	dry_runs_free(ctx);
	tasks_free(ctx);
}
