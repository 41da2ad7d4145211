/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host still lacks of its files, and writing it. */
#ifndef VIRTX_CLUSTER_PLAN_H
#define VIRTX_CLUSTER_PLAN_H

#include <stdio.h>

#include "virtx/cluster_files.h"

struct cluster_change {
	const struct cluster_file *file;
	char *text;	/* all of the file, as it is going to be; a secret perhaps */
	bool there;	/* there is one now */
	bool mode_only; /* only who may read it changes */
	bool same;	/* it said the same before, in other places */
};

struct cluster_plan {
	struct cluster_change *items;
	size_t n_items;
	unsigned int parts; /* what has to be done when all is written */
	unsigned int files; /* of PART_FILES and PART_SOME: what is over when all is written */
	unsigned int ends;  /* of a host that leaves: parts that are over once this is begun */
};

/* Of a host that was interrupted. */
struct cluster_note {
	unsigned int parts;	   /* yet to be done */
	gid_t sanlock_gid;	   /* wanted; 0 where nothing is said of it */
	char uuid[UUID_TEXT_SIZE]; /* of a host that leaves; "" else */
};

/* Compares the host's files with what they are to be. 0, or -1 where one cannot be read. */
int cluster_plan_make(const struct cluster_site *site, struct cluster_plan *ret, struct error *err);
/* The same of certificates alone: who renews them leaves all else as it is, and as it is noted. */
int cluster_plan_make_certificates(
    const struct cluster_site *site, struct cluster_plan *ret, struct error *err);
/* The same of the CA's key, what names that, and certificates: a host of the cluster gets it. */
int cluster_plan_make_ca_key(
    const struct cluster_site *site, struct cluster_plan *ret, struct error *err);
/* The same of certificates and the keys that they are for, which the site has made itself. */
int cluster_plan_make_own(
    const struct cluster_site *site, struct cluster_plan *ret, struct error *err);
void cluster_plan_clear(struct cluster_plan *plan);
/* Each file that would change, with what would be in it, but for keys and certificates. */
int cluster_plan_show(const struct cluster_site *site, FILE *out, struct error *err);
/* Writes all. On an error it says which files were not. */
int cluster_plan_write(
    const struct cluster_site *site, const struct cluster_plan *plan, struct error *err);
/* Notes which parts are yet to be done, and reads that: who is interrupted goes on there. Those
 * that were noted before stay, but for what is done. */
int cluster_plan_note(
    const struct cluster_site *site, unsigned int begun, unsigned int done, struct error *err);
int cluster_plan_noted(
    const struct cluster_site *site, struct cluster_note *ret, struct error *err);

#endif
