/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt and QEMU do by themselves: events, guests that obey, migrations, and their ends. */
#ifndef SIM_LIBVIRT_H
#define SIM_LIBVIRT_H

#include "world.h"

void libvirt_reset(void);
bool libvirt_is_up(int host);
/* How often it has ended: it is another one since. */
unsigned int libvirt_number(int host);
/* The daemon ends, and is back after so many ms; domains live on, migrations are cut. */
void libvirt_restart(int host, int64_t ms);
/* The machine has no power: nothing of it is left, its leases count on for a while. */
void libvirt_power_off(int host);
void libvirt_power_on(int host);

/* Each of these is one call. */
void libvirt_define(struct world_vm *vm, int host);
void libvirt_undefine(struct world_vm *vm, int host);
/* False where the lease is another's. */
bool libvirt_start(struct world_vm *vm, int host);
void libvirt_destroy(struct world_vm *vm, int host);
void libvirt_ask_guest(struct world_vm *vm, int host);
void libvirt_pause(struct world_vm *vm, int host);
bool libvirt_resume(struct world_vm *vm, int host);
void libvirt_log(struct world_vm *vm, int host, enum world_op op, const char *status, int64_t ts,
    const char *msg);

/* A live migration, which goes on without whoever began it. */
struct libvirt_migration;
/* NULL where it cannot begin. */
struct libvirt_migration *libvirt_migrate(struct world_vm *vm, int from, int to);
/* Whether it is over; *ok: the VM is there. Frees it then. */
bool libvirt_migrated(struct libvirt_migration *migration, bool *ok);
/* Whoever began it is gone. */
void libvirt_leave(struct libvirt_migration *migration);
/* Breaks off what is under way of the VM. */
void libvirt_abort(const struct world_vm *vm, int from);

#endif
