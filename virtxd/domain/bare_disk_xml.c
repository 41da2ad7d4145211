/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks without a lease: what others have put into a domain beside VirtX. */
#include <string.h>

#include "domain/disk_xml.h"
#include "proto/vmdef.h"

struct reading {
	const char *root;
	char (*leases)[49];
	size_t n_leases;
};

static char *
source_path(const xmlNode *node)
{
	const xmlNode *source = xml_child(node, "source");
	char *path = xml_attr(source, "file");

	return path ? path : xml_attr(source, "dev");
}

static bool
has_lease(const struct reading *reading, const char *path, enum disk_device device)
{
	const struct disk disk = { .path = (char *)path, .device = device };
	struct error ignored = { 0 };
	char name[49];

	if (str_empty(path) || disk_resource_name(&disk, reading->root, name, &ignored) < 0)
		return false;
	for (size_t i = 0; i < reading->n_leases; i++) {
		if (strcmp(reading->leases[i], name) == 0)
			return true;
	}
	return false;
}

/* Whether a disk should have a lease; one that VirtX did not make, where other hosts see it. */
static bool
wants_lease(
    const xmlNode *node, const char *root, const char *path, bool ours, const struct disk *disk)
{
	_free_ char *images = xasprintf("%s/ds/", root);
	_free_ char *device = xml_attr(node, "device");

	if (str_empty(path) || xml_child(node, "readonly") || str_equal(device, "cdrom") ||
	    str_equal(device, "floppy"))
		return false;
	if (ours)
		return disk->man == DISK_MAN_MODE_MANAGED;
	return str_equal(device, "lun") || strncmp(path, images, strlen(images)) == 0;
}

/* The first file below it that has a lease; the caller's, NULL for none. */
static char *
find_base(const struct reading *reading, const xmlNode *node)
{
	for (node = xml_child(node, "backingStore"); node; node = xml_child(node, "backingStore")) {
		_free_ char *path = source_path(node);

		if (has_lease(reading, path, DISK_DEVICE_DISK))
			return steal_ptr(path);
	}
	return NULL;
}

static void
read_bare(const struct reading *reading, const xmlNode *node, struct bare_disk **ret, size_t *n)
{
	_free_ char *alias = xml_attr(xml_child(node, "alias"), "name");
	_free_ char *path = source_path(node);
	_free_ char *device = xml_attr(node, "device");
	struct disk disk = { 0 };
	bool ours = disk_xml_read_alias(alias, &disk);
	enum disk_device kind = str_equal(device, "lun") ? DISK_DEVICE_LUN : DISK_DEVICE_DISK;

	if (wants_lease(node, reading->root, path, ours, &disk) && !has_lease(reading, path, kind))
		*model_append(ret, n) = (struct bare_disk){
			.target = xml_attr(xml_child(node, "target"), "dev"),
			.path = steal_ptr(path),
			.base = find_base(reading, node),
			.ours = ours,
		};
}

int
domain_bare_disks_read(
    const char *xml, const char *root, struct bare_disk **ret, size_t *n, struct error *err)
{
	_xmldoc_ xmlDoc *doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	_free_ char(*leases)[49] = NULL;
	struct reading reading = { .root = root };
	const xmlNode *node;

	if (!doc || domain_xml_lease_names(xml, &leases, &reading.n_leases, err) < 0)
		return -1;
	reading.leases = leases;
	node = xml_grandchild(xmlDocGetRootElement(doc), "devices", "disk");
	for (; node; node = xml_next(node))
		read_bare(&reading, node, ret, n);
	return 0;
}

void
domain_bare_disks_free(struct bare_disk *disks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(disks[i].target);
		free(disks[i].path);
		free(disks[i].base);
	}
	free(disks);
}
