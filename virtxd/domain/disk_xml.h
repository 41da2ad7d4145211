/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks, their controllers and their leases in the domain XML. Private to the layer. */
#ifndef DOMAIN_DISK_XML_H
#define DOMAIN_DISK_XML_H

#include "domain/domain_xml.h"
#include "domain/xml.h"

/* How many iothreads the disks take. */
unsigned int disk_xml_iothreads(const struct vmdef *def);
/* Adds all disks, controllers and leases, the VM's own the last, to the element devices. 400 for a
 * lun whose path names no resource. */
int disk_xml_build(struct xml_tree *tree, xmlNode *devices, const struct vmdef *def,
    const char *uuid, const char *root, struct error *err);
/* The target names of def.disks in their order, "vdb sdc": libvirt sorts the disks of one bus
 * together. The caller's; "" for no disks. */
char *disk_xml_order(const struct vmdef *def);

/* Adds the lease of a disk to the element devices. 400 for a lun whose path names no resource. */
int disk_xml_add_lease(struct xml_tree *tree, xmlNode *devices, const struct disk *disk,
    const char *root, struct error *err);
/* Adds the VM's own. */
int disk_xml_add_vm_lease(
    struct xml_tree *tree, xmlNode *devices, const char *uuid, const char *root, struct error *err);
/* Whether libvirt starts the domain with one lease more than it has. */
bool disk_xml_has_room(const xmlNode *devices);
/* Takes out the leases of that name; false where there is none. */
bool disk_xml_remove_lease(const xmlNode *devices, const char *name);
/* Reads man, prov and bus from an alias "ua-M_t_scsi_virtio-scsi_1"; false when it is not ours. */
bool disk_xml_read_alias(const char *alias, struct disk *disk);
/* Whether the element disk, with its source's path, is the cloud-init CD. */
bool disk_xml_is_cloud_init(const xmlNode *node, const char *path, const char *root);

/* Reads all disks, and which leases of ours there are, into info, whose uuid and lease are set;
 * order is what disk_xml_order gave, or NULL. What a Vmdef cannot say makes info foreign, by
 * domain_info_foreign. */
void disk_xml_read(
    const xmlNode *devices, const char *root, const char *order, struct domain_info *info);

#endif
