/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

int
vm_lock(const char *run_dir, const char *uuid, int *fd, struct error *err)
{
	_free_ char *path = xasprintf("%s/vm-%s.lock", run_dir, uuid);

	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
		return error_errno(err, 500, errno, "cannot make '%s'", run_dir);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return error_errno(err, 500, errno, "cannot open '%s'", path);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return error_errno(err, 500, errno, "cannot lock '%s'", path);
	snprintf(err->vm, sizeof(err->vm), "%s", uuid);
	return error_set(err, 409,
	    "another operation on VM '%s' is under way: a job of an earlier virtxd still runs",
	    uuid);
}
