/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other hosts ask when their view of this one's VMs is not what its digest says. */
#include <errno.h>

#include "api/handlers.h"
#include "ops/context.h"

#define PAGE_MAX 1000

/* ?limit= and ?after=: a page. Older hosts ask for all. */
static int
read_page(const struct request *req, char after[UUID_TEXT_SIZE], size_t *limit, struct error *err)
{
	_free_ char *uuid = NULL, *number = NULL;
	unsigned long value = 0;
	char *end = NULL;

	after[0] = '\0';
	if (request_query(req, "after", &uuid, err) < 0 ||
	    request_query(req, "limit", &number, err) < 0)
		return -1;
	if (!str_empty(uuid) && uuid_normalize(uuid, after) < 0)
		return error_set(err, 400, "after: '%.64s' is no UUID", uuid);
	errno = 0;
	if (number)
		value = strtoul(number, &end, 10);
	if (number && (errno || end == number || *end || value == 0 || value > PAGE_MAX))
		return error_set(
		    err, 400, "limit: '%.64s' is not an integer of 1 to %d", number, PAGE_MAX);
	*limit = value;
	return 0;
}

void
api_gossip_vms(struct context *ctx, struct request *req)
{
	struct vm_info_list list = { 0 };
	char after[UUID_TEXT_SIZE];
	struct error err = { 0 };
	size_t limit = 0;

	/* Nothing known yet is not the same as no VMs. */
	if (!keeper_knows_vms(ctx->keeper))
		error_set(&err, 503, "libvirt has not told this host's VMs yet");
	else
		read_page(req, after, &limit, &err);
	if (err.status) {
		request_reply_error(req, &err);
		return;
	}
	inventory_get_list(ctx->inventory, inventory_self(ctx->inventory), after, limit, &list);
	request_reply_model(req, 200, &vm_info_list_model, &list);
	model_clear(&vm_info_list_model, &list);
}
