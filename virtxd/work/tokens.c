/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/token_file.h"
#include "work/works.h"

int
work_tokens_load(const void *request, void *result, struct error *err)
{
	const struct tokens_load_request *req = request;

	return token_files_load(req->env.root, str_or_empty(req->stamp), result, err);
}

int
work_token_save(const void *request, void *result, struct error *err)
{
	const struct token_save_request *req = request;

	if (token_file_save(req->env.root, &req->record, err) < 0)
		return -1;
	model_copy(&token_record_model, result, &req->record);
	return 0;
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
