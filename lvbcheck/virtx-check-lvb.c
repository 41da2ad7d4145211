/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx-check-lvb: does a sanlock resource belong to this VM? Needs no lease, no daemon, only libc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTOR	  512
#define UUID_SIZE 36
/* Behind the leader, the request block and 2000 hosts. */
#define LVB_OFFSET ((off_t)2002 * SECTOR)

static bool
is_uuid(const char *text)
{
	return strlen(text) == UUID_SIZE && strspn(text, "0123456789abcdefABCDEF-") == UUID_SIZE;
}

/* Past the page cache, which does not know what other hosts wrote. */
static int
read_lvb(const char *path, char lvb[SECTOR])
{
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "virtx-check-lvb: cannot open '%s': %s\n", path, strerror(errno));
		return -1;
	}
	n = pread(fd, lvb, SECTOR, LVB_OFFSET);
	if (n < 0)
		fprintf(stderr, "virtx-check-lvb: cannot read '%s': %s\n", path, strerror(errno));
	else if (n < SECTOR)
		fprintf(stderr, "virtx-check-lvb: '%s' is too short for a resource\n", path);
	close(fd);
	return n == SECTOR ? 0 : -1;
}

int
main(int argc, char **argv)
{
	__attribute__((aligned(4096))) char lvb[SECTOR];
	char expected[SECTOR] = { 0 };

	if (argc != 3 || !is_uuid(argv[2])) {
		fprintf(stderr, "usage: virtx-check-lvb RESOURCE_PATH VM_UUID\n");
		return 1;
	}
	if (read_lvb(argv[1], lvb) < 0)
		return 1;
	memcpy(expected, argv[2], UUID_SIZE);
	if (memcmp(lvb, expected, SECTOR) != 0) {
		fprintf(
		    stderr, "virtx-check-lvb: '%s' does not belong to '%s'\n", argv[1], argv[2]);
		return 1;
	}
	return 0;
}
