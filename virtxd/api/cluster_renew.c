/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hosts renew their certificates. */
#include "api/handlers.h"
#include "ops/renewal.h"
#include "ops/task.h"

static void
reply(struct request *req, const struct cluster_certificates *certificates, const struct error *err)
{
	if (certificates)
		request_reply_model(req, 200, &cluster_certificates_model, certificates);
	else
		request_reply_error(req, err);
}

void
api_cluster_renew(struct context *ctx, struct request *req)
{
	struct cluster_renewal renewal = { 0 };

	if (task_read_exact(req, &renewal) < 0)
		return;
	renewal_start(ctx, req, &renewal, reply);
	model_clear(&cluster_renewal_model, &renewal);
}
