/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cloud-init CD with its lease, put into the XML that a VM is started from. */
#ifndef DOMAIN_CLOUD_INIT_XML_H
#define DOMAIN_CLOUD_INIT_XML_H

#include "proto/error.h"
#include "proto/model.h"

/* The CD at path as a managed disk; borrows path. */
struct disk cloud_init_disk(char *path);
/* xml with the CD at path, as sda of scsi controller 0, and with its lease where the domain has
 * room for one; *ret is the caller's. 500 for XML that is no domain's. */
int cloud_init_xml_add(
    const char *xml, const char *root, char *path, char **ret, struct error *err);
/* xml without a cloud-init CD, its mark, and the lease of the one at path; *ret is the caller's,
 * NULL when xml has none. 500 for XML that is no domain's. */
int cloud_init_xml_remove(
    const char *xml, const char *root, char *path, char **ret, struct error *err);

#endif
