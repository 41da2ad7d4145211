/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other hosts ask when their view of this one's VMs is not what its digest says. */
#include "api/context.h"
#include "api/handlers.h"

void
api_gossip_vms(struct api *api, struct request *req)
{
	const char *self = inventory_self(api->inventory);
	struct vm_info_list list = { 0 };
	struct error err = { 0 };

	/* Nothing collected yet is not the same as no VMs. */
	if (str_empty(self)) {
		error_set(&err, 503, "libvirt has not told this host's VMs yet");
		request_reply_error(req, &err);
		return;
	}
	inventory_get_list(api->inventory, self, &list);
	request_reply_model(req, 200, &vm_info_list_model, &list);
	model_clear(&vm_info_list_model, &list);
}
