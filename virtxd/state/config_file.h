/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local files with what is configured: small texts. */
#ifndef STATE_CONFIG_FILE_H
#define STATE_CONFIG_FILE_H

#include "proto/error.h"

/* Reads a regular local file of at most max bytes into b: a text without NUL bytes. -1 with err;
 * errnum is then that of open() or fstat(), and 0 where the file is no such text. */
int config_file_read(
    const char *file, size_t max, struct buffer *b, int *errnum, struct error *err);
/* What held a key must not stay in freed memory. */
void config_file_wipe(struct buffer *b);

#endif
