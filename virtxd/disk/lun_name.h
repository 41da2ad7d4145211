/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which LUN a path means. A LUN has many names on a host, and some of them mean another one on the
 * next host; the hosts' udev and device mapper know its WWID. Blocks: jobs only.
 */
#ifndef DISK_LUN_NAME_H
#define DISK_LUN_NAME_H

#include "proto/error.h"
#include "proto/model.h"

/* Where /dev, /sys and /run/udev are found; tests have their own. */
#define LUN_HOST ""

/*
 * The LUN behind the path: *by_id is a name of it that is the same on every host ("/dev/disk/by-id/
 * ..."), the caller's, and lease its resource's. 422 for what is no whole LUN, and for one whose
 * WWID this host does not know.
 */
int lun_identify(
    const char *host, const struct disk *disk, char **by_id, char lease[49], struct error *err);
/*
 * The resources that the LUN can have, by all its names under /dev/disk/by-id and /dev/mapper that
 * this host knows: definitions of before may have any. *ret is an array of n texts of 49 bytes, the
 * caller's; the first is lun_identify's.
 */
int lun_leases(
    const char *host, const struct disk *disk, char (**ret)[49], size_t *n, struct error *err);
/* Whether the path means this LUN on every host, and its text gives the resource's name: else 422
 * that says which path does; and whether the device still is that LUN, as lun_confirm has it. */
int lun_check_path(const char *host, const struct disk *disk, char lease[49], struct error *err);

#endif
