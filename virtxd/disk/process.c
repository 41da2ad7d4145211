/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STAT_MAX   1024
#define START_WORD 20 /* of /proc/PID/stat, counted from the state, which is the first */

int64_t
process_start(pid_t pid)
{
	_free_ char *path = xasprintf("/proc/%ld/stat", (long)pid);
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[STAT_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* Its name, in parentheses, may have any characters in it. */
	at = strrchr(text, ')');
	if (!at || strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0)
		return -1;
	for (int word = 0; at && word < START_WORD; word++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) : -1;
}

/* The descriptor is the process's own: its number may become another's only before it is opened. */
int
process_kill(pid_t pid, int64_t start, struct error *err)
{
	_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int errnum = errno;

	if (fd < 0 && errnum != ESRCH)
		return error_errno(err, 503, errnum, "cannot open process %ld", (long)pid);
	if (fd < 0 || start < 0 || process_start(pid) != start)
		return 1;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0)
		return 0;
	if (errno == ESRCH)
		return 1;
	return error_errno(err, 503, errno, "cannot kill process %ld", (long)pid);
}
