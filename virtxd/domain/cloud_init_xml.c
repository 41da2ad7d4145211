/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cloud-init CD with its lease, put into the XML that a VM is started from. */
#include "domain/cloud_init_xml.h"

#include "domain/disk_xml.h"
#include "domain/metadata_xml.h"
#include "domain/xml.h"
#include "proto/vmdef.h"

struct disk
cloud_init_disk(char *path)
{
	return (struct disk){
		.path = path,
		.device = DISK_DEVICE_CDROM,
		.bus = DISK_BUS_VIRTIO_SCSI,
		.man = DISK_MAN_MODE_MANAGED,
		.prov = DISK_PROV_MODE_THIN,
	};
}

/* Parses a domain into the tree; NULL with err set when it has no devices. */
static xmlNode *
open_devices(const char *xml, struct xml_tree *tree, struct error *err)
{
	xmlNode *devices;

	tree->doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	if (!tree->doc)
		return NULL;
	devices = xml_child(xmlDocGetRootElement(tree->doc), "devices");
	if (!devices)
		error_set(err, 500, "the domain's XML has no devices");
	return devices;
}

int
cloud_init_xml_add(const char *xml, const char *root, char *path, char **ret, struct error *err)
{
	_xmltree_ struct xml_tree tree = { 0 };
	const struct disk disk = cloud_init_disk(path);
	xmlNode *devices, *node;

	devices = open_devices(xml, &tree, err);
	if (!devices)
		return -1;
	node = xml_add(&tree, devices, "disk", "type", "file", "device", "cdrom", NULL);
	xml_add(&tree, node, "driver", "name", "qemu", "type", "raw", "cache", "none", NULL);
	xml_add(&tree, node, "source", "file", path, NULL);
	xml_add(&tree, node, "backingStore", NULL);
	xml_add(&tree, node, "target", "dev", "sda", "bus", "scsi", NULL);
	xml_add(&tree, node, "readonly", NULL);
	/* The other disks count from 1. */
	xml_add(&tree, node, "alias", "name", "ua-M_t_scsi_virtio-scsi_0", NULL);
	xml_add(&tree, node, "address", "type", "drive", "controller", "0", "bus", "0", "target",
	    "0", "unit", "0", NULL);
	/* It is the VM's alone by its folder, and the VM holds others. */
	if (disk_xml_has_room(devices) && disk_xml_add_lease(&tree, devices, &disk, root, err) < 0)
		return -1;
	return xml_tree_text(&tree, false, ret, err);
}

static bool
remove_lease(xmlNode *devices, char *path, const char *root)
{
	const struct disk disk = cloud_init_disk(path);
	char name[49];

	return disk_resource_name(&disk, root, name, NULL) == 0 &&
	       disk_xml_remove_lease(devices, name);
}

int
cloud_init_xml_remove(const char *xml, const char *root, char *path, char **ret, struct error *err)
{
	_xmltree_ struct xml_tree tree = { 0 };
	xmlNode *devices, *next, *mark;
	bool removed;

	*ret = NULL;
	devices = open_devices(xml, &tree, err);
	if (!devices)
		return -1;
	mark = metadata_xml_cd(devices->parent);
	removed = remove_lease(devices, path, root) || mark;
	xml_remove(mark);
	for (xmlNode *node = xml_child(devices, "disk"); node; node = next) {
		_free_ char *file = xml_attr(xml_child(node, "source"), "file");

		next = xml_next(node);
		if (!file || !disk_xml_is_cloud_init(node, file, root))
			continue;
		remove_lease(devices, file, root);
		xml_remove(node);
		removed = true;
	}
	return removed ? xml_tree_text(&tree, false, ret, err) : 0;
}
