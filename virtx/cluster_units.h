/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemons of a host that read what has changed. */
#ifndef VIRTX_CLUSTER_UNITS_H
#define VIRTX_CLUSTER_UNITS_H

#include <stdio.h>

#include "virtx/cluster_plan.h"

/* Whether the site is a host on which systemd runs: else nothing is run. */
bool cluster_units_run(const struct cluster_site *site);
/* Does what the parts (PART_*) want, one command after the other, and tells on out. Where systemd
 * does not run, or the site is a folder, it only says what is to be done. On an error it says what
 * is left, which is noted. */
int cluster_units_apply(
    const struct cluster_site *site, unsigned int parts, FILE *out, struct error *err);
/* The same of a host that leaves: what runs no more before its files are taken back, and what runs
 * again afterwards. */
int cluster_units_leave(const struct cluster_site *site, FILE *out, struct error *err);
int cluster_units_left(const struct cluster_site *site, FILE *out, struct error *err);

#endif
