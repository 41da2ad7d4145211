/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secret of a token, from the file where the user keeps it: never from a command line. */
#ifndef VIRTX_SECRET_FILE_H
#define VIRTX_SECRET_FILE_H

#include "proto/error.h"

/* That of the file that an option gives (NULL for none), or else VIRTX_TOKEN_FILE, for
 * secret_file_free; *ret is NULL where neither does. */
int secret_file_read(const char *given, char **ret, struct error *err);
/* A new file for one, which its owner alone can read; -1 where it cannot be made, or is there. */
int secret_file_make(const char *file, struct error *err);
int secret_file_write(int fd, const char *file, const char *secret, struct error *err);
/* Leaves nothing of it in memory. NULL is fine. */
void secret_file_free(char *secret);

#endif
