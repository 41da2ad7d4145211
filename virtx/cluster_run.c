/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtx/client.h"
#include "virtx/cluster_fs.h"

/* Waits for the end of a child; what is late is ended. */
static int
wait_for(pid_t pid, int seconds, int *ret_status)
{
	_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	bool late = fd >= 0 && poll(&poller, 1, seconds * 1000) == 0;

	if (late)
		kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return late ? -ETIMEDOUT : 0;
}

/* Its output goes to the file out, and what it says of errors nowhere; -1: to our own. */
static int
spawn(const char *const *argv, int out, int seconds, struct error *err)
{
	static const char *const folders[] = { "/usr/bin", "/usr/sbin", "/bin", "/sbin" };
	char path_of_all[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	char *const environment[] = { path_of_all, locale, NULL };
	posix_spawn_file_actions_t files;
	int rc = ENOENT, status = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	if (out >= 0) {
		posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
		posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders) && rc == ENOENT; i++) {
		_free_ char *path = xasprintf("%s/%s", folders[i], argv[0]);

		rc = posix_spawn(&pid, path, &files, NULL, (char *const *)argv, environment);
	}
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		return error_errno(err, CLIENT_ERROR_STATUS, rc, "cannot run '%s'", argv[0]);
	rc = wait_for(pid, seconds, &status);
	if (rc == -ETIMEDOUT)
		return error_set(err, CLIENT_ERROR_STATUS, "it did not end within %d s", seconds);
	if (rc < 0)
		return error_errno(err, CLIENT_ERROR_STATUS, -rc, "'%s'", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(err, CLIENT_ERROR_STATUS, "it ended with %d",
		    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

int
cluster_run(const char *const *argv, int seconds, struct error *err)
{
	return spawn(argv, -1, seconds, err);
}

int
cluster_run_read(const char *const *argv, int seconds, char **ret, struct error *err)
{
	_close_ int fd = memfd_create("output", MFD_CLOEXEC);
	_buffer_ struct buffer text = { 0 };
	int rc;

	if (fd < 0)
		return error_errno(err, CLIENT_ERROR_STATUS, errno, "'%s'", argv[0]);
	if (spawn(argv, fd, seconds, err) < 0)
		return -1;
	rc = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_all(fd, &text, CLUSTER_FILE_MAX);
	if (rc < 0)
		return error_errno(err, CLIENT_ERROR_STATUS, -rc, "'%s'", argv[0]);
	*ret = buffer_steal(&text, NULL);
	return 0;
}
