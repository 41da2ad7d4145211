/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates of a CA that is the site's own, from a folder. */
#ifndef VIRTX_CLUSTER_OWN_H
#define VIRTX_CLUSTER_OWN_H

#include "virtx/cluster_site.h"

#define CLUSTER_OWN_HELP \
	"certificates of your own CA: ca.pem, host.pem, host.key, qemu.pem, qemu.key"

/* Takes what is in the folder in the place of what the host has. -1 with what is wrong with which
 * file, also where it is of another CA than the host has, or than the fingerprint (NULL for none)
 * is of. */
int cluster_own_load(
    struct cluster_site *site, const char *folder, const char *fingerprint, struct error *err);

#endif
