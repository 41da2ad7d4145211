/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a file is the one that was read before, as far as its file system tells. */
#ifndef WORK_FILE_STATE_H
#define WORK_FILE_STATE_H

#include <stdbool.h>
#include <sys/stat.h>

bool file_state_is_same(const struct stat *a, const struct stat *b);
/* Whether its last change was long enough ago for the next one to have another time. */
bool file_state_is_settled(const struct stat *file);

#endif
