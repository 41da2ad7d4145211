/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a host, or of a folder that stands for its root: no link leads out of that. */
#ifndef VIRTX_CLUSTER_FS_H
#define VIRTX_CLUSTER_FS_H

#include <sys/types.h>

#include "proto/error.h"
#include "virtx/new_file.h"

#define CLUSTER_FILE_MAX (1024 * 1024) /* bytes of one */
#define CLUSTER_OLD	 ".virtx-old"  /* behind the name of what was there before */
/* Behind a file's name until it is whole: of the new one, and of what was there before. */
#define CLUSTER_NEW	    ".virtx-new"
#define CLUSTER_OLD_PASSING CLUSTER_OLD ".tmp"

/* The root folder, "" for the host's own; -1 with the reason. */
int cluster_fs_open(const char *root, struct error *err);
bool cluster_fs_exists(int root, const char *path);
/* The content of a regular file, and whose it is (NULL allowed): 1, 0 where there is none, or -1
 * with the reason. */
int cluster_fs_read(
    int root, const char *path, char **ret, struct file_mode *ret_mode, struct error *err);
/* What becomes of a file that is replaced. */
enum cluster_keep {
	KEEP_NOTHING,
	KEEP_FIRST, /* of all that were there, as NAME.virtx-old beside it */
};

/*
 * Writes a file in one step: it is whole, or as it was. What is kept is for no others to read than
 * may read the new one. Folders that are missing are
 * made (0755). Owners are set by root alone.
 */
int cluster_fs_write(int root, const char *path, const char *text, const struct file_mode *mode,
    enum cluster_keep keep, struct error *err);
/* Changes who may read a regular file, and nothing else. */
int cluster_fs_set_mode(
    int root, const char *path, const struct file_mode *mode, struct error *err);
/* Takes a file that stands for all others, which is made where it is not there: its descriptor
 * holds it. -1 with the reason where another process has it. */
int cluster_fs_lock(int root, const char *path, struct error *err);
/* Makes it, and the folders that it is in. */
int cluster_fs_make_folder(int root, const char *path, mode_t mode, struct error *err);
/* One that is not there is fine. */
int cluster_fs_remove(int root, const char *path, struct error *err);

#endif
