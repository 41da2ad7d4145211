/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking back what made a host one of a cluster. */
#ifndef VIRTX_CLUSTER_UNDO_H
#define VIRTX_CLUSTER_UNDO_H

#include <stdio.h>

#include "virtx/cluster_files.h"
#include "virtx/cluster_fs.h"

struct cluster_undo_item {
	const struct cluster_file *file;
	char *text; /* as it is going to be, NULL where it goes; a secret perhaps */
	struct file_mode mode;
};

struct cluster_undo {
	struct cluster_undo_item *items;
	size_t n_items;
};

/* Looks what is there of it: the site has what it has loaded of keys and certificates, by which
 * those are known that are ours. 0, or -1 where a file cannot be read. */
int cluster_undo_make(const struct cluster_site *site, struct cluster_undo *ret, struct error *err);
void cluster_undo_clear(struct cluster_undo *undo);
/* What becomes of each file. */
void cluster_undo_show(const struct cluster_undo *undo, FILE *out);
/* Does it, and tells on out. What was kept of before stays until all has come back: who is
 * interrupted takes it from there again. */
int cluster_undo_apply(
    const struct cluster_site *site, const struct cluster_undo *undo, FILE *out, struct error *err);
/* Removes what was kept; not beside a file that somebody else has put there since. */
int cluster_undo_tidy(const struct cluster_site *site, struct error *err);

#endif
