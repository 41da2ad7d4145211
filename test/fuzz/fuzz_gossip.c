/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events of other hosts, one after the other: the first byte says which, the second how long. What
 * is known of this host's own VM stays. */
#include <assert.h>
#include <string.h>

#include "serf/gossip_inbox.h"

#define SELF "00000001-1111-4222-8333-000000000000"
#define VM   "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "HI", "VI", "VE", "XX" };
	struct inventory *inventory = inventory_new();
	struct host_report host = { .uuid = (char[]){ SELF }, .has_def = true };
	struct vm_report vm = { .uuid = (char[]){ VM }, .runstate = VMRUNSTATE_RUNNING };
	struct vm_info_list list = { 0 };
	const struct inventory_vm *view;
	struct inbox_event event;

	inventory_report_host(inventory, &host);
	inventory_report_vm(inventory, 0, true, &vm);
	inventory_set_host(
	    inventory, "00000001-1111-4222-8333-444444444444", "other", CSTATE_ACTIVE);
	while (size >= 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		struct error err = { 0 };

		inbox_take(inventory, names[data[0] % 4], data + 2, len, &event, &err);
		data += 2 + len;
		size -= 2 + len;
	}
	view = inventory_find_vm(inventory, VM);
	assert(view && view->local && view->vm.runinfo.runstate == VMRUNSTATE_RUNNING);
	inventory_get_list(inventory, "00000001-1111-4222-8333-444444444444", "", 0, &list);
	model_clear(&vm_info_list_model, &list);
	inventory_free(inventory);
	return 0;
}
