/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/host_down.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/lease.h"
#include "proto/log.h"

#define POLL_MS	    250
#define LATE_MS	    15000 /* for a VM that has gone off to be looked at */
#define NUMBER_SIZE 24

static char *
flag_path(const char *run_dir)
{
	return xasprintf("%s/down", run_dir);
}

static int
raise_flag(const char *run_dir, struct error *err)
{
	_free_ char *path = flag_path(run_dir);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? error_errno(err, 507, errno, "cannot make '%s'", path) : 0;
}

int
host_down_leave(const char *root, const char *run_dir, int seconds, struct error *err)
{
	int64_t end = monotonic_ms() + (int64_t)seconds * 1000;
	bool busy = false;
	int r;

	/* Before it is left: a job that joins looks for it afterwards. */
	if (raise_flag(run_dir, err) < 0)
		return -1;
	while ((r = lockspace_leave(root, err)) == 0 && monotonic_ms() < end) {
		if (!busy)
			log_info("job", "waiting for the leases that are held in the lockspace");
		busy = true;
		usleep(POLL_MS * 1000);
	}
	if (r == 0)
		return error_set(err, 503,
		    "this host stays in the lockspace: leases were still held after %d s; "
		    "`sanlock client status` shows by which processes",
		    seconds);
	return r < 0 ? -1 : 0;
}

int
host_down_allow(const char *run_dir, struct error *err)
{
	_free_ char *path = flag_path(run_dir);

	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, 507, errno, "cannot remove '%s'", path);
	return 0;
}

int
host_down_check(const char *run_dir, struct error *err)
{
	_free_ char *path = flag_path(run_dir);

	if (access(path, F_OK) < 0)
		return 0;
	return error_set(err, 503,
	    "this host goes down and has left the lockspace; `virtxd --lockspace allow` lets it "
	    "join again");
}

static char *
guests_path(const char *run_dir)
{
	return xasprintf("%s/guests", run_dir);
}

/* Until when guests go off with the host, monotonic ms. What is cut off here leaves an empty file.
 */
static int
save_guests(const char *run_dir, int64_t until, int flags, struct error *err)
{
	_free_ char *path = guests_path(run_dir);
	_free_ char *text = xasprintf("%" PRId64 "\n", until);
	_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | flags, 0600);

	int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));

	if (r == -ENOENT && !(flags & O_CREAT))
		return 0;
	return r < 0 ? error_errno(err, 507, -r, "cannot write '%s'", path) : 0;
}

int
host_down_begin_guests(const char *run_dir, struct error *err)
{
	return save_guests(run_dir, INT64_MAX, O_CREAT, err);
}

int
host_down_end_guests(const char *run_dir, struct error *err)
{
	return save_guests(run_dir, monotonic_ms() + LATE_MS, 0, err);
}

bool
host_down_takes_guests(const char *run_dir)
{
	_free_ char *path = guests_path(run_dir);
	char text[NUMBER_SIZE] = "";
	struct error ignored = { 0 };
	_close_ int fd = -1;

	if (host_down_check(run_dir, &ignored) < 0)
		return true;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	/* Empty while it is written: as guests begin to go off, it counts already. */
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return true;
	return strtoll(text, NULL, 10) > monotonic_ms();
}
