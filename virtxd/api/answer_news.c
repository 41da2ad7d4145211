/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/answer_news.h"

#include <string.h>

#include "ops/context.h"
#include "proto/json.h"
#include "proto/log.h"
#include "proto/utf8.h"

#define VALUE_MAX 8192 /* bytes of a header; larger VMs are left to the gossip */

/* JSON in ASCII alone, as a header has it. */
static char *
to_ascii(const char *json, size_t len)
{
	_buffer_ struct buffer out = { 0 };
	uint32_t code;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char(json + i, len - i, &code);
		if (n == 0)
			return NULL;
		if (code < 0x80)
			buffer_add(&out, json + i, 1);
		else if (code < 0x10000)
			buffer_printf(&out, "\\u%04x", code);
		else
			buffer_printf(
			    &out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
	}
	return out.len <= VALUE_MAX ? buffer_steal(&out, NULL) : NULL;
}

/* The VM that the request is about, "" for none; NULL where its answer is no news at all. */
static const char *
subject(const struct context *ctx, const struct request *req)
{
	const struct operation *operation;

	switch (req->route->scope) {
	case SCOPE_VM:
		return req->param;
	case SCOPE_BODY:
		return req->vm;
	case SCOPE_OPERATION:
		operation = operations_find(ctx->operations, req->param);
		return operation ? str_or_empty(operation->vm) : NULL;
	case SCOPE_HOST:
		return "";
	case SCOPE_HERE:
	case SCOPE_QUERY:
	default:
		return NULL;
	}
}

/* Whether the host that forwarded the request has nothing to learn of the VM. */
static bool
is_known(const struct context *ctx, const struct request *req, const char *vm)
{
	char stamp[INVENTORY_STAMP_SIZE];

	if (str_empty(req->known))
		return false;
	inventory_get_stamp(ctx->inventory, vm, stamp);
	return strcmp(stamp, req->known) == 0;
}

static char *
make_news(void *arg, const struct request *req)
{
	const struct context *ctx = arg;
	const char *vm = subject(ctx, req);
	struct host_news news = { 0 };
	_free_ char *json = NULL;
	char *value = NULL;
	size_t len;

	if (vm && !is_known(ctx, req, vm) && inventory_get_news(ctx->inventory, vm, &news)) {
		json = json_encode(&host_news_model, &news, &len);
		value = to_ascii(json, len);
	}
	model_clear(&host_news_model, &news);
	return value;
}

void
answer_news_attach(struct context *ctx, struct request *req)
{
	if (!req->looped)
		return;
	req->news = make_news;
	req->news_arg = ctx;
}

void
answer_news_take(struct inventory *inventory, uint64_t mark, const char *host, const char *value)
{
	static struct log_limit limit;
	struct host_news news = { 0 };
	struct error err = { 0 };

	if (json_decode(&host_news_model, value, strlen(value), &news, &err) == 0) {
		if (str_equal(news.host, host))
			inventory_take_news(inventory, mark, &news);
		else
			error_set(&err, 502, "it speaks for another host");
	}
	if (err.status)
		log_limited(&limit, 5, "forward", "the news of host '%s' are passed over: %s", host,
		    err.detail);
	model_clear(&host_news_model, &news);
}
