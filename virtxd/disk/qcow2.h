/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a qcow2 image says of itself, read without qemu-img: nothing in it is believed. Blocks: jobs
 * only. */
#ifndef DISK_QCOW2_H
#define DISK_QCOW2_H

#include "proto/error.h"

/* Refuses (422) what is no qcow2 image, and what would make qemu-img and QEMU open other files or
 * ask for a key. */
int qcow2_check_header(int fd, struct error *err);
/* Refuses (422) an image that is marked corrupt, and one with tables or data beyond the end of its
 * file, as a copy that was cut short has. The header must have passed. */
int qcow2_check_whole(int fd, struct error *err);
/* The name of its backing file as it stands there, the caller's; NULL for none. 422 for what is no
 * qcow2 image. */
int qcow2_backing(int fd, char **ret, struct error *err);

#endif
