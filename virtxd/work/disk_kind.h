/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk is made of: an image below the storage root, or a LUN, or nothing, as a VM's own
 * lease. What is done to it differs, and is a row of functions; that it is done under its lease
 * does not, and is storage.h's. All return 0, or -1 with err. Blocks: jobs only.
 */
#ifndef WORK_DISK_KIND_H
#define WORK_DISK_KIND_H

#include "disk/image.h"

/* How far it is with one disk, in per cent. */
typedef void (*disk_progress)(int percent, void *arg);

struct disk_kind {
	/* Whether a VM may get it, before anything is made: 422 says why not. */
	int (*check)(const struct disk *disk, struct error *err);
	/* Measures one that is there. */
	int (*inspect)(
	    const char *root, const struct disk *disk, struct image_info *ret, struct error *err);
	/* The same for one that the VM gets now: somebody else may have made it. */
	int (*take)(
	    const char *root, const struct disk *disk, struct image_info *ret, struct error *err);
	/* Makes one that is provisioned for this VM, so that undo knows it. */
	int (*make)(const char *root, const char *uuid, const struct disk *disk,
	    disk_progress progress, struct error *err);
	/* What is there counts as made by nobody from now on. */
	int (*disown)(
	    const char *root, const char *uuid, const struct disk *disk, struct error *err);
	/* What was made stays. */
	int (*commit)(
	    const char *root, const char *uuid, const struct disk *disk, struct error *err);
	/* Undoes make, and nothing else. */
	int (*undo)(const char *root, const char *uuid, const struct disk *disk, struct error *err);
	/* Deletes what is on it. *left (the caller's, left alone for nothing; left may be NULL)
	 * says what stays. */
	int (*drop)(const char *root, const struct disk *disk, disk_progress progress, char **left,
	    struct error *err);
	/* Says what stays of one that nobody can prove to be the VM's; the caller's, NULL for
	 * nothing. */
	char *(*leave)(const char *root, const struct disk *disk, const char *why);
};

/* Never NULL. */
const struct disk_kind *disk_kind_of(const struct disk *disk);

#endif
