/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In what the definition of a file differs from the one that a VM has. */
#ifndef VIRTX_DIFFERENCE_H
#define VIRTX_DIFFERENCE_H

#include "proto/model.h"

/*
 * Gives def what it leaves to the server, as a VM has it that is shown so: sizes and provisioning
 * of disks that it has already, MAC addresses, the generation id. Two definitions that are equal
 * then are the same one to the server.
 */
void difference_fill(struct vmdef *def, const struct vmdef *shown);
/*
 * Adds "PATH: OLD -> NEW" for each field in which they differ, each between before and after.
 * Returns their number. Values are as JSON has them, enums words; what is not there is "none".
 */
size_t difference_list(const struct vmdef *old, const struct vmdef *def, const char *before,
    const char *after, struct buffer *out);

#endif
