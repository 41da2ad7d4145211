/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that takes the place of another one once it is whole. */
#ifndef VIRTX_NEW_FILE_H
#define VIRTX_NEW_FILE_H

#include <sys/types.h>

/* Who may read a file. */
struct file_mode {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* Sets these bits, and the owner where root asks; 0 or a negative errno. */
int file_mode_set(int fd, mode_t bits, const struct file_mode *mode);
/* Writes the text to a new file of the folder, instead of what has this name. It is there for good
 * when this returns 0, and else a negative errno; what was begun is the caller's to remove. Nobody
 * but its owner can read it before it has its mode. NULL for the mode: its owner alone. */
int new_file_write(int folder, const char *name, const char *text, const struct file_mode *mode);

#endif
