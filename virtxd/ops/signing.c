/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/signing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/log.h"
#include "proto/pki.h"

#define SIGNINGS_MAX 16 /* at once: each holds a job */

struct signing {
	LIST_ENTRY(signing) entry;
	struct context *ctx;
	struct request *req;
	char host[UUID_TEXT_SIZE]; /* that the certificates are for, "" for none */
	signing_done done;
	void *arg;
};

static void
end(struct signing *signing, const struct cluster_sign_result *result, const struct error *err)
{
	LIST_REMOVE(signing, entry);
	signing->done(signing->ctx, signing->req, result, err, signing->arg);
	free(signing);
}

/* Who has the CA's key used leaves a trace: certificates cannot be taken back. */
static void
note(const struct signing *signing, const char *certificate)
{
	_free_ char *about = pki_about(str_or_empty(certificate));

	if (about)
		log_notice("ops", "signed for host '%s', as %s at %s has asked: %s", signing->host,
		    signing->req->user, signing->req->client, about);
}

static void
on_done(void *arg, void *result, const struct error *err)
{
	struct cluster_sign_result *res = result;

	if (res) {
		note(arg, res->certificate);
		note(arg, res->qemu_certificate);
	}
	end(arg, res, err);
	if (res && res->serf_key)
		explicit_bzero(res->serf_key, strlen(res->serf_key));
}

/* Of a CA that is the site's own nobody has the key, and any host that may tell serf's lets others
 * join, which have their certificates. */
static int
check(const struct context *ctx, const struct signing_order *order, struct error *err)
{
	bool signs = *order->request != '\0' || str_empty(ctx->config->serf_encrypt_file);
	const struct signing *signing;
	unsigned int n = 0;

	if (signs && str_empty(ctx->config->tls_ca_key))
		return error_set(err, 501,
		    "this host does not have the key of the cluster's CA ('ca_key' of section "
		    "[tls]): ask one that has, or use certificates of your own CA "
		    "('--certificates')");
	LIST_FOREACH (signing, &ctx->signings, entry)
		n++;
	if (n > SIGNINGS_MAX)
		return error_set(
		    err, 503, "%d certificates are being signed: ask again", SIGNINGS_MAX);
	return 0;
}

/* Names */

static bool
is_same_address(const char *a, const char *b)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct in6_addr x = { 0 }, y = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (inet_pton(families[i], a, &x) == 1 && inet_pton(families[i], b, &y) == 1)
			return memcmp(&x, &y, sizeof(x)) == 0;
	}
	return false;
}

/* The next of a list; NULL at its end. The caller frees. */
static char *
next_name(const char **at)
{
	size_t len = strcspn(*at, ",");
	char *name = len ? xstrndup(*at, len) : NULL;

	*at += len;
	*at += **at == ',';
	return name;
}

static bool
is_same_name(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0 || is_same_address(a, b);
}

static bool
may_have(const struct signing_names *may, const char *name)
{
	const char *at = may->list;

	if (is_same_name(name, may->name) || is_same_name(name, may->address))
		return true;
	for (;;) {
		_free_ char *one = next_name(&at);

		if (!one || is_same_name(name, one))
			return one != NULL;
	}
}

int
signing_check_names(const struct signing_names *may, const char *request, struct error *err)
{
	_free_ char *names = pki_request_names(request, err);
	const char *at = names;

	if (!names)
		return -1;
	for (;;) {
		_free_ char *name = next_name(&at);

		if (!name)
			return 0;
		if (!may_have(may, name))
			return error_set(err, 403,
			    "the request is for '%s' as well, and this host may have no "
			    "certificate but for %s%s%s%s",
			    name, may->list, may->name, *may->name && *may->address ? ", " : "",
			    may->address);
	}
}

/* Jobs */

void
signing_start(struct context *ctx, struct request *req, const struct signing_order *order,
    signing_done done, void *arg)
{
	struct signing *signing = xcalloc(1, sizeof(*signing));
	struct cluster_sign_request sign = {
		.ca = ctx->config->tls_ca,
		.ca_key = ctx->config->tls_ca_key,
		.serf_key_file = ctx->config->serf_encrypt_file,
		.uuid = (char *)order->uuid,
		.request = (char *)order->request,
		.qemu_request = (char *)order->qemu_request,
		.gives_ca_key = order->gives_ca_key,
		.again = order->again,
	};
	struct error err = { 0 };

	*signing = (struct signing){ .ctx = ctx, .req = req, .done = done, .arg = arg };
	snprintf(signing->host, sizeof(signing->host), "%s", order->uuid);
	LIST_INSERT_HEAD(&ctx->signings, signing, entry);
	if (check(ctx, order, &err) < 0 ||
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
