/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the lockspace and the resources have in common: a directory with one file in it, which is
 * made privately and appears complete by a rename; and the words for sanlock's errors. Blocks: jobs
 * only.
 */
#ifndef DISK_LOCKFILE_H
#define DISK_LOCKFILE_H

#include <sys/types.h>

#include "proto/error.h"

/* Makes the directory dir in parent, which only the caller knows of; -EEXIST where something is in
 * it already, other failures as -errno. */
int lockfile_make_dir(int parent, const char *dir);
/*
 * Fills the directory dir, which the caller made in parent: gives it its mode and the group sanlock
 * (where that exists), and makes an empty file (0660, O_EXCL) in it, opened O_RDWR in *ret_fd.
 */
int lockfile_make(
    int parent, const char *dir, mode_t mode, const char *file, int *ret_fd, struct error *err);
/* Writes file and directory out and renames the directory; -EEXIST when another one is at that
 * name, other failures as -errno. */
int lockfile_publish(int parent, const char *dir, int fd, const char *name);
/* Removes the directory with its one file; either missing is fine. 0 or -errno. */
int lockfile_remove(int parent, const char *dir, const char *file);

/* Appends to err what may have kept the daemon from opening the file at that path: that it belongs
 * to another group than the daemon has here. */
void lockfile_append_group(struct error *err, const char *path);
/* As error_set, appending ": " and what the sanlock library's answer rv (negative) means. */
int lockfile_error(struct error *err, int status, int rv, const char *fmt, ...) PRINTF(4, 5);

#endif
