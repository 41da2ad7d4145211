/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/out_copy.h"
#include "domain/token_file.h"
#include "proto/log.h"
#include "proto/pki.h"
#include "work/cluster_sign.h"
#include "work/revocation.h"
#include "work/works.h"

/* What is kept here is for a start without the storage; what is on the storage counts. */
static void
keep_copy(const struct tokens_load_request *req, const struct token_set *set)
{
	struct error err = { 0 };

	if (!set->same && !str_empty(req->state_dir) &&
	    out_copy_save(req->state_dir, set, &err) < 0)
		log_warning("work",
		    "%s: started without the storage, this host would not know which hosts were "
		    "put out",
		    err.detail);
}

int
work_tokens_load(const void *request, void *result, struct error *err)
{
	const struct tokens_load_request *req = request;

	if (token_files_load(req->env.root, str_or_empty(req->stamp), result, err) < 0)
		return -1;
	keep_copy(req, result);
	revocation_follow(req, result);
	return 0;
}

/* The certificate, of which the fingerprint is kept as others have the hash of their secret. */
static int
sign(const struct token_save_request *req, struct token_save_result *res, struct error *err)
{
	const struct token *token = &req->record.token;
	int64_t seconds = (token->expires - now_ms()) / 1000;
	char print[PKI_FINGERPRINT_SIZE];

	res->certificate =
	    cluster_sign_user(req->ca, req->ca_key, req->request, token->name, seconds, err);
	if (!res->certificate || pki_fingerprint(res->certificate, print, err) < 0)
		return error_wrap(err, "the certificate of user '%s'", str_or_empty(token->name));
	res->hash = xstrdup(print);
	return 0;
}

int
work_token_save(const void *request, void *result, struct error *err)
{
	const struct token_save_request *req = request;
	struct token_save_result *res = result;
	struct token_record record = req->record;

	if (str_empty(req->request))
		res->hash = xstrdup(str_or_empty(record.hash));
	else if (sign(req, res, err) < 0)
		return -1;
	record.hash = res->hash;
	return token_file_save(req->env.root, &record, err);
}

int
work_token_revoke(const void *request, void *result, struct error *err)
{
	const struct token_revoke_request *req = request;
	struct token *token = result;

	if (token_file_remove(req->env.root, str_or_empty(req->name), err) < 0)
		return -1;
	token->name = xstrdup(req->name);
	return 0;
}

int
work_host_out(const void *request, void *result, struct error *err)
{
	const struct host_out_request *req = request;
	struct token *token = result;

	if (token_host_put_out(req->env.root, str_or_empty(req->uuid), req->out, err) < 0)
		return -1;
	token->name = xstrdup(req->uuid);
	return 0;
}
