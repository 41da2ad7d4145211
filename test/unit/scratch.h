/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory for one test, removed after it. */
#ifndef TEST_UNIT_SCRATCH_H
#define TEST_UNIT_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"

/* For cmocka's setup: *state becomes the path. */
static inline int
scratch_setup(void **state)
{
	char *path = xasprintf("%s/virtx-test-XXXXXX", getenv("TMPDIR") ?: "/tmp");

	*state = mkdtemp(path);
	return *state ? 0 : -1;
}

static inline int
scratch_unlink(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline int
scratch_teardown(void **state)
{
	int result = nftw(*state, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return result;
}

/* dir/name; the caller frees. */
static inline char *
scratch_path(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

/* Writes a file at dir/name. */
static inline void
scratch_write(const char *dir, const char *name, const char *text)
{
	_free_ char *path = scratch_path(dir, name);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static inline void
scratch_mkdir(const char *dir, const char *name)
{
	_free_ char *path = scratch_path(dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

/* For cmocka's setup: *state becomes the root of a storage that is made for VirtX. */
static inline int
scratch_storage_setup(void **state)
{
	int result = scratch_setup(state);

	if (result == 0) {
		scratch_mkdir(*state, "xml");
		scratch_write(
		    *state, "xml/.virtx-storage", "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b\n");
	}
	return result;
}

/* The permissions of dir/name, -1 when it is not there. */
static inline int
scratch_mode(const char *dir, const char *name)
{
	_free_ char *path = scratch_path(dir, name);
	struct stat status;

	return lstat(path, &status) < 0 ? -1 : (int)(status.st_mode & 07777);
}

#endif
