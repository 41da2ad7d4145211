/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage.h"

#include <stdint.h>

#include "clock.h"
#include "history.h"
#include "libvirt.h"

#define LOSS_MS 80000 /* that sanlock goes on without a renewal */

static struct {
	enum storage_state state;
	int64_t since; /* ms */
	bool lost;     /* the lockspace */
} hosts[WORLD_HOSTS];

void
storage_reset(void)
{
	for (int i = 0; i < WORLD_HOSTS; i++) {
		hosts[i].state = STORAGE_THERE;
		hosts[i].lost = false;
	}
}

/* sanlock ends whoever holds a lease. */
static void
on_loss(void *arg)
{
	int host = (int)(intptr_t)arg;

	if (hosts[host].state == STORAGE_THERE || clock_now() - hosts[host].since < LOSS_MS ||
	    clock_is_ending())
		return;
	history_add(host, "the lockspace is lost");
	hosts[host].lost = true;
	for (size_t i = 0; i < world.n_vms; i++) {
		struct world_vm *vm = &world.vms[i];

		if (vm->holder == host && !vm->free_at)
			libvirt_destroy(vm, host);
	}
}

void
storage_take_away(int host, enum storage_state how)
{
	if (hosts[host].state != STORAGE_THERE)
		return;
	history_add(host, how == STORAGE_HANGS ? "the storage hangs" : "the storage fails");
	hosts[host].state = how;
	hosts[host].since = clock_now();
	clock_after(LOSS_MS, on_loss, (void *)(intptr_t)host);
}

void
storage_bring_back(int host)
{
	if (hosts[host].state == STORAGE_THERE)
		return;
	history_add(host, "the storage is back");
	hosts[host].state = STORAGE_THERE;
}

enum storage_state
storage_state(int host)
{
	return hosts[host].state;
}

bool
storage_is_joined(int host)
{
	return !hosts[host].lost;
}

void
storage_join(int host)
{
	hosts[host].lost = false;
}
