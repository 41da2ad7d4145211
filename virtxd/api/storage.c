/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/action.h"
#include "api/context.h"
#include "api/handlers.h"

void
api_storage_init(struct api *api, struct request *req)
{
	struct storage_request request = { .env = *keeper_env(api->keeper) };

	action_start(api, req, WORK_STORAGE_INIT, &request, "", 200);
}
