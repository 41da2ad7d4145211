/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A storage root of a test's own, as a cmocka group's state. */
#ifndef TEST_DISK_ROOT_H
#define TEST_DISK_ROOT_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/util.h"

#define TEST_VM	   "5a1f3c7e-9b52-4d0a-8f3e-0c1d2e3f4a5b"
#define TEST_OTHER "00000001-1111-4222-8333-444444444444"

/* In the build directory, not in /tmp: that may be a tmpfs, which knows no O_DIRECT. */
static char disk_root[PATH_MAX];

/* A path under the root; valid for the next four calls. */
static inline char *
at(const char *below)
{
	static char paths[4][PATH_MAX * 2];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", disk_root, below);
	return path;
}

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline int
disk_root_setup(void **state)
{
	char cwd[PATH_MAX / 2];

	if (!getcwd(cwd, sizeof(cwd)))
		return -1;
	snprintf(disk_root, sizeof(disk_root), "%s/disk-root.XXXXXX", cwd);
	return mkdtemp(disk_root) && mkdir(at("ds"), 0750) == 0 ? 0 : -1;
}

static inline int
disk_root_teardown(void **state)
{
	return nftw(disk_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* For cmocka's setup: makes the root a storage of VirtX. */
static inline int
disk_root_mark(void)
{
	if (mkdir(at("xml"), 0750) < 0)
		return -1;
	write_file(at("xml/.virtx-storage"), TEST_OTHER "\n", sizeof(TEST_OTHER));
	return 0;
}

/* The number of entries of a directory, hidden ones too. */
static inline int
entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = -2;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Runs a program of the test's own (no shell); its exit status. */
#define run_program(...) run_program_((const char *const[]){ __VA_ARGS__, NULL })
static inline int
run_program_(const char *const *argv)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
