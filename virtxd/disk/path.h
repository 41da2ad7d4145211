/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening what users name, without ever leaving ROOT/ds. Blocks: jobs only. */
#ifndef DISK_PATH_H
#define DISK_PATH_H

#include <sys/stat.h>

#include "proto/error.h"

/*
 * Opens the directory of path (absolute, under ROOT/ds/) component by component, so that no symlink
 * below ROOT is followed and ".." is refused; *base points into path. 404 when it is not there, 422
 * when something on the way is no directory.
 */
enum path_how {
	PATH_FIND,
	PATH_MAKE, /* also what is missing, but never ROOT/ds: without it the storage is not
		      mounted */
	PATH_MEND, /* folders that were made for a QEMU of root's are given to this one's group, as
		      PATH_MAKE does */
};
int path_open_dir(const char *root, const char *path, enum path_how how, int *ret_fd,
    const char **base, struct error *err);
/* The same of what may be missing: *ret_fd is -1 then. */
int path_look_dir(const char *root, const char *path, enum path_how how, int *ret_fd,
    const char **base, struct error *err);
/*
 * Opens the regular file itself, O_NOFOLLOW|O_CLOEXEC|flags; refuses (422) what is no regular file
 * naming what it is, without opening it. 404 when it is not there.
 */
int path_open_file(
    const char *root, const char *path, int flags, int *ret_fd, struct stat *st, struct error *err);
/* The same of what may be missing: *ret_fd is -1 then. */
int path_look_file(
    const char *root, const char *path, int flags, int *ret_fd, struct stat *st, struct error *err);
/* What is not the regular file, directory or block device that was wanted: "a FIFO". */
const char *path_kind(mode_t mode);

#endif
