/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU may open. It runs as a user of its own, which has no part in what virtxd makes but by a
 * group: images, cloud-init CDs and UEFI variables, and the folders that they are in, have it. One
 * user for each process, which is a job. Blocks: jobs only.
 */
#ifndef DISK_ACCESS_H
#define DISK_ACCESS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "proto/error.h"

#define ACCESS_IMAGE  0660
#define ACCESS_FOLDER 02770 /* what others make in it has the group, too */
#define ACCESS_NOBODY ((gid_t)-1)

struct access_user {
	uid_t uid;
	gid_t gid;
	gid_t group; /* that files get, ACCESS_NOBODY to leave them theirs */
};

/* Of now on, for this process; before, files keep the group that they are made with. */
void access_set(const struct access_user *user);
/* Whether there is a QEMU that may not open all, as root's may. */
bool access_matters(void);
/* "QEMU runs as 'libvirt-qemu' (64055:64055)"; the caller frees. */
char *access_whose(void);

/* Gives a file or folder of ours the group, then its mode. */
int access_give(int fd, mode_t mode, struct error *err);
/* The same for a folder as virtxd or the Go virtx makes it for a QEMU that is root's: of root's or
 * this group, and closed to others. Any other is let be. */
void access_mend_folder(int fd);
/* The same for a file that is a VM's own, whatever its mode; refuses (422) what is no regular file
 * or has another name, as it could be anybody's. */
int access_mend_file(int fd, mode_t mode, struct error *err);

/* Why QEMU cannot open path, "may not read '/vms/ds/a.iso' (mode 0600 of 0:0)"; NULL where it can,
 * where that cannot be told, and of what is not there. The caller frees. */
char *access_why(const char *path, bool write);
/* Of what is closed, the command that opens what access_why() names, "chmod o+r '/vms/ds/a.iso'";
 * NULL where that is not known, and of a device, which is made anew at each boot. The caller frees.
 */
char *access_remedy(const char *path, bool write);

#endif
