/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Those who use the cluster, through any host. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

/* They begin, and stop to ask for anything. */
void clients_start(void);
void clients_stop(void);

/* All VMs that are off, and registered, are booted. */
void clients_boot_all(void);

#endif
