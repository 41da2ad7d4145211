/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"

int
file_mode_set(int fd, mode_t bits, const struct file_mode *mode)
{
	if (geteuid() == 0 && fchown(fd, mode->uid, mode->gid) < 0)
		return -errno;
	return fchmod(fd, bits) < 0 ? -errno : 0;
}

int
new_file_write(int folder, const char *name, const char *text, const struct file_mode *mode)
{
	_close_ int fd = -1;
	int rc;

	(void)unlinkat(folder, name, 0);
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, strlen(text));
	if (rc == 0 && mode)
		rc = file_mode_set(fd, mode->mode, mode);
	if (rc < 0)
		return rc;
	return fsync(fd) < 0 ? -errno : 0;
}
