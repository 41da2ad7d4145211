/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/signing.h"

#include <string.h>

#define SIGNINGS_MAX 16 /* at once: each holds a job */

struct signing {
	LIST_ENTRY(signing) entry;
	struct context *ctx;
	struct request *req;
	signing_done done;
	void *arg;
};

static void
end(struct signing *signing, const struct cluster_sign_result *result, const struct error *err)
{
	LIST_REMOVE(signing, entry);
	signing->done(signing->ctx, signing->req, result, err, signing->arg);
	free(signing->arg);
	free(signing);
}

static void
on_done(void *arg, void *result, const struct error *err)
{
	struct cluster_sign_result *res = result;

	end(arg, res, err);
	if (res && res->serf_key)
		explicit_bzero(res->serf_key, strlen(res->serf_key));
}

static int
check(const struct context *ctx, struct error *err)
{
	const struct signing *signing;
	unsigned int n = 0;

	if (str_empty(ctx->config->tls_ca_key))
		return error_set(err, 501,
		    "this host does not have the key of the cluster's CA ('ca_key' of section "
		    "[tls]): ask one that has");
	LIST_FOREACH (signing, &ctx->signings, entry)
		n++;
	if (n > SIGNINGS_MAX)
		return error_set(
		    err, 503, "%d certificates are being signed: ask again", SIGNINGS_MAX);
	return 0;
}

void
signing_start(struct context *ctx, struct request *req, const char *uuid, const char *request,
    const char *qemu_request, signing_done done, void *arg)
{
	struct signing *signing = xcalloc(1, sizeof(*signing));
	struct cluster_sign_request sign = {
		.ca = ctx->config->tls_ca,
		.ca_key = ctx->config->tls_ca_key,
		.serf_key_file = ctx->config->serf_encrypt_file,
		.uuid = (char *)uuid,
		.request = (char *)request,
		.qemu_request = (char *)qemu_request,
	};
	struct error err = { 0 };

	*signing = (struct signing){ .ctx = ctx, .req = req, .done = done, .arg = arg };
	LIST_INSERT_HEAD(&ctx->signings, signing, entry);
	if (check(ctx, &err) < 0 ||
	    !job_start(ctx->jobs, WORK_CLUSTER_SIGN, &sign, NULL, "", NULL, on_done, signing, &err))
		end(signing, NULL, &err);
}

void
signings_free(struct context *ctx)
{
	struct error err = { 0 };

	error_set(&err, 503, "virtxd stops");
	while (!LIST_EMPTY(&ctx->signings))
		end(LIST_FIRST(&ctx->signings), NULL, &err);
}
