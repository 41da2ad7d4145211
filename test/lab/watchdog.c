/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A watchdog device for a host of the lab, preloaded into its wdmd. As with a real one, keepalives
 * that stop without the letter V before the close have the host reset after the timeout, whatever
 * became of wdmd: all its processes are killed but the one that holds its namespaces,
 * VIRTX_LAB_HOLDER.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE "/run/watchdog" /* as wdmd is told with -w */

/* To the timer: its device, and the timeout that it is told by each keepalive, s. */
static int device = -1;
static int timeout_s = 60;

/* Whether it is a process of this host, which is not spared. */
static int
is_here(const char *pid, const struct stat *here)
{
	const char *holder = getenv("VIRTX_LAB_HOLDER");
	char path[64];
	struct stat there;

	if (pid[strspn(pid, "0123456789")] || (holder && strcmp(pid, holder) == 0) ||
	    atoi(pid) == getpid())
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	return stat(path, &there) == 0 && there.st_ino == here->st_ino;
}

/* How many there were. */
static int
signal_all(int number)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	struct stat here;
	int n = 0;

	if (!dir || stat("/proc/self/ns/net", &here) < 0)
		_exit(1);
	while ((entry = readdir(dir))) {
		if (is_here(entry->d_name, &here) && kill(atoi(entry->d_name), number) == 0)
			n++;
	}
	closedir(dir);
	return n;
}

/* None of them sees that another one is gone. */
static void
reset(void)
{
	fprintf(stderr, "watchdog: no keepalive for its timeout, the host is reset\n");
	signal_all(SIGSTOP);
	for (int i = 0; i < 1000 && signal_all(SIGKILL) > 0; i++)
		usleep(1000);
	_exit(0);
}

/* A letter is the timeout from now on; 0 disarms it. */
static void
run_timer(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	unsigned char seconds = (unsigned char)timeout_s;

	prctl(PR_SET_NAME, "watchdog");
	for (;;) {
		int r = poll(&poll_fd, 1, seconds * 1000);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			reset();
		if (read(fd, &seconds, 1) != 1) {
			/* Nobody will write any more. */
			sleep(seconds);
			reset();
		}
		if (!seconds)
			_exit(0);
	}
}

static void
keepalive(int seconds)
{
	unsigned char letter = (unsigned char)seconds;

	if (write(device, &letter, 1) != 1)
		fprintf(stderr, "watchdog: its timer is gone: %s\n", strerror(errno));
}

static int
open_device(void)
{
	int pair[2];
	pid_t pid;

	if (device >= 0) {
		errno = EBUSY;
		return -1;
	}
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		for (int fd = 3; fd < 256; fd++) {
			if (fd != pair[0])
				close(fd);
		}
		run_timer(pair[0]);
	}
	close(pair[0]);
	device = pair[1];
	return device;
}

int
open(const char *path, int flags, ...)
{
	static int (*next)(const char *, int, ...);
	va_list args;
	mode_t mode;

	if (strcmp(path, DEVICE) == 0)
		return open_device();
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "open");
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return next(path, flags, mode);
}

int
ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, ...);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "ioctl");
	if (fd < 0 || fd != device)
		return next(fd, request, arg);
	switch (request) {
	case WDIOC_GETSUPPORT:
		*(struct watchdog_info *)arg = (struct watchdog_info){
			.options = WDIOF_SETTIMEOUT | WDIOF_KEEPALIVEPING | WDIOF_MAGICCLOSE,
			.identity = "VirtX lab",
		};
		return 0;
	case WDIOC_SETTIMEOUT:
		timeout_s = *(int *)arg;
		keepalive(timeout_s);
		return 0;
	case WDIOC_GETTIMEOUT:
		*(int *)arg = timeout_s;
		return 0;
	case WDIOC_KEEPALIVE:
		keepalive(timeout_s);
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

ssize_t
write(int fd, const void *data, size_t size)
{
	static ssize_t (*next)(int, const void *, size_t);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "write");
	if (fd >= 0 && fd == device && size == 1 && *(const char *)data == 'V')
		return next(fd, "", 1);
	return next(fd, data, size);
}

int
close(int fd)
{
	static int (*next)(int);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "close");
	if (fd >= 0 && fd == device)
		device = -1;
	return next(fd);
}
