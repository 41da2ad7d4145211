/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WORK_VM_PROCESS_H
#define WORK_VM_PROCESS_H

#include <libvirt/libvirt.h>
#include <sys/types.h>

#include "proto/error.h"

/* The process id of the VM's QEMU on this host; 1 when that is not known, and err says why. */
int vm_process_find(virDomainPtr domain, pid_t *ret, struct error *err);

#endif
