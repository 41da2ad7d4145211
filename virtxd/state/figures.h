/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STATE_FIGURES_H
#define STATE_FIGURES_H

#include <stdint.h>

/* What a host has, reservations and all. */
struct host_figures {
	int64_t vms, vcpus;
	int64_t memory, hp; /* MiB that are left for VMs */
};

#endif
