/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A part of a virtxd that has AddressSanitizer: which of its jobs look for leaks at their end, as
 * that is a fifth of what a job costs then. Those that fail do, the first FIRST of each work, and
 * of the others one in EACH. In the folder VIRTX_LEAKS each work has a file with a byte for each
 * job. virtxd itself always looks, and so do all jobs where the variable is not set.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 64 /* jobs of a work */
#define EACH  8

static bool often; /* so many of its work have been looked at that it need not be */
static bool well;  /* it ends with 0 */

/* Asked by LeakSanitizer. */
int __lsan_is_turned_off(void);
int
__lsan_is_turned_off(void)
{
	return often && well;
}

/* Called before LeakSanitizer looks, which was there first. */
static void
note_end(int status, void *arg)
{
	well = status == 0;
}

/* How many jobs of that work have begun, with this one; 0 where that cannot be told. */
static off_t
number_of(const char *folder, const char *work)
{
	char path[PATH_MAX];
	struct stat status = { 0 };
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder, work) >= (int)sizeof(path))
		return 0;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	if (write(fd, "", 1) != 1 || fstat(fd, &status) < 0)
		status.st_size = 0;
	close(fd);
	return status.st_size;
}

/* Before main(), which may take away the rights to do this. */
__attribute__((constructor)) static void
begin(int argc, char **argv)
{
	const char *folder = getenv("VIRTX_LEAKS");
	off_t number;

	if (!folder || argc < 3 || strcmp(argv[argc - 2], "--job") != 0 ||
	    strchr(argv[argc - 1], '/'))
		return;
	number = number_of(folder, argv[argc - 1]);
	often = number > FIRST && number % EACH != 0;
	on_exit(note_end, NULL);
}
