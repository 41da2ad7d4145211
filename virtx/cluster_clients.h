/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is connected to libvirt of this host by a certificate that the CA has taken back. */
#ifndef VIRTX_CLUSTER_CLIENTS_H
#define VIRTX_CLUSTER_CLIENTS_H

#include <stdio.h>

#include "virtx/cluster_site.h"

/* Ends their connections, which libvirt lets stand; nothing where systemd does not run, or the site
 * is a folder. */
int cluster_clients_drop(const struct cluster_site *site, FILE *out, struct error *err);

#endif
