/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secret of a token, from the file where the user keeps it: never from a command line. */
#ifndef VIRTX_SECRET_FILE_H
#define VIRTX_SECRET_FILE_H

#include "proto/error.h"

/* That of a file, "-" for standard input, for secret_file_free; NULL in *ret with -1. */
int secret_file_read(const char *file, char **ret, struct error *err);
/* The same for a text of so many bytes, which is taken over; where says from where it is. */
int secret_take(char *text, size_t len, const char *where, char **ret, struct error *err);
/* What others could read they are said to have: -1 for such a file, of which what ("the token") is
 * told. */
int secret_file_check(const char *what, const char *file, struct error *err);
/* A new file for one, which its owner alone can read; -1 where it cannot be made, or is there. */
int secret_file_make(const char *file, struct error *err);
int secret_file_write(int fd, const char *file, const char *secret, struct error *err);
/* Leaves nothing of it in memory. NULL is fine. */
void secret_file_free(char *secret);

#endif
