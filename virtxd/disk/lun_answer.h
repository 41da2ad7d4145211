/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which LUN a device is by its own words. What udev and multipath know of it is of the moment when
 * this host found it: the storage may give another LUN under the same number since, and nobody
 * tells the host. Blocks: jobs only.
 */
#ifndef DISK_LUN_ANSWER_H
#define DISK_LUN_ANSWER_H

#include <stdint.h>

#include "proto/error.h"
#include "proto/model.h"

enum lun_answer {
	LUN_ANSWER_NONE,  /* it does not say */
	LUN_ANSWER_SAME,  /* it is the LUN of that resource */
	LUN_ANSWER_OTHER, /* it is another one */
};

#define LUN_WWID_SIZE 128

/*
 * What a device identification page (SCSI's 0x83) says of the LUN whose resource has this name;
 * wwid becomes the last one of the kind in it, "" where there is none.
 */
enum lun_answer lun_answer_read(
    const uint8_t *page, size_t len, const char *name, char wwid[LUN_WWID_SIZE]);
/* Whether SCSI's sense data mean that there is no LUN. */
bool lun_answer_is_none_there(const uint8_t *sense, size_t len);
/*
 * Asks the device, or each path of a mapped one, which LUN it is: 422 where one of them is another
 * than the path of the disk means, and 507 where none of them answers: who read it would be held
 * up. What cannot be asked, as what is no SCSI device, passes.
 */
int lun_confirm(const char *host, const struct disk *disk, dev_t device, struct error *err);

#endif
