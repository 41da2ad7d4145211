/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in the way on a host, as long as nothing is written. */
#ifndef VIRTX_CLUSTER_CHECK_H
#define VIRTX_CLUSTER_CHECK_H

#include "virtx/cluster_files.h"

/* Whether the storage is mounted, where the host says that it is to be, and these parts can be
 * done; or -1 with what is to be done before. A folder that stands for a root has nothing in the
 * way. */
int cluster_check(const struct cluster_site *site, unsigned int parts, struct error *err);
/* Whether the host itself, of which a folder is none, is in the lockspace of virtxd, as far as
 * sanlock tells: where that runs and does not answer, it may be. */
bool cluster_check_may_be_in_lockspace(const struct cluster_site *site);
/* The storage that virtxd would find on a host that has left: something is mounted there, above or
 * below, or is to be at boot, or the folder is one itself. NULL for none; the caller frees. */
char *cluster_check_storage_left(const struct cluster_site *site);

#endif
