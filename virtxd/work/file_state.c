/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/file_state.h"

#include <string.h>

#include "proto/util.h"

/* A file that has changed just now may change again within one tick of its clock. */
#define RACY_S 60

bool
file_state_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

bool
file_state_is_settled(const struct stat *file)
{
	return now_ms() / 1000 - file->st_mtim.tv_sec > RACY_S;
}
