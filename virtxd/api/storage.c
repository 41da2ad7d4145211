/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/handlers.h"
#include "ops/context.h"
#include "ops/task.h"

void
api_storage_init(struct context *ctx, struct request *req)
{
	struct storage_request request = { 0 };

	task_start(ctx, req, WORK_STORAGE_INIT, &request, "", 200);
}
