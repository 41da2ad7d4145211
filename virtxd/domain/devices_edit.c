/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of a definition that is there, changed to another Vmdef. A disk is known by its path,
 * an interface by its mac. Each becomes what it would be in a new VM, and takes over what is
 * nobody's but its own: limits, serial numbers, addresses that guests see.
 */
#include <string.h>
#include <strings.h>

#include "domain/disk_xml.h"
#include "domain/domain_tree.h"
#include "proto/vmdef.h"

#define NETS_MAX 64 /* more make a domain foreign */

/* What we write into an element, attributes and children alike; the first row is the element
 * itself, the others its children. */
struct ours {
	const char *name;
	const char *parts; /* " a b " */
};

static const struct ours disk_ours[] = {
	{ "", " type device rawio " },
	{ "driver", " name type cache iothread " },
	{ "source", " file dev index reservations " },
	{ "target", " dev bus " },
	{ "boot", " order " },
	{ "alias", " name " },
	{ 0 },
};

static const struct ours controller_ours[] = {
	{ "", " type index model " },
	{ "driver", " iothread " },
	{ 0 },
};

static const struct ours interface_ours[] = {
	{ "", " type " },
	{ "source", " network bridge " },
	{ "model", " type " },
	{ "driver", " txmode " },
	{ 0 },
};

static bool
lists(const char *parts, const xmlChar *name)
{
	_free_ char *word = xasprintf(" %s ", (const char *)name);

	return strstr(parts, word) != NULL;
}

static const struct ours *
find_ours(const struct ours *ours, const xmlChar *name)
{
	for (; ours->name; ours++)
		if (strcmp(ours->name, (const char *)name) == 0)
			return ours;
	return NULL;
}

/* The attributes of old that are not ours. */
static void
take_attributes(struct domain_edit *edit, xmlNode *fresh, const xmlNode *old, const char *parts)
{
	for (const xmlAttr *attr = old->properties; attr; attr = attr->next) {
		_free_ char *value = NULL;

		if (attr->ns || lists(parts, attr->name))
			continue;
		value = xml_attr(old, (const char *)attr->name);
		xml_reset(&edit->made, fresh, (const char *)attr->name, value);
	}
}

/* The rest of one child that both have. */
static void
take_rest(struct domain_edit *edit, xmlNode *fresh, xmlNode *old, const char *parts)
{
	xmlNode *next;

	take_attributes(edit, fresh, old, parts);
	for (xmlNode *node = xmlFirstElementChild(old); node; node = next) {
		next = xmlNextElementSibling(node);
		if (!lists(parts, node->name))
			xml_move(node, fresh);
	}
}

/* Moves into fresh what old has and we do not write; old goes. */
static void
take_over(struct domain_edit *edit, xmlNode *fresh, xmlNode *old, const struct ours *ours)
{
	xmlNode *next;

	take_attributes(edit, fresh, old, ours->parts);
	for (xmlNode *node = xmlFirstElementChild(old); node; node = xmlNextElementSibling(node))
		if (!find_ours(ours + 1, node->name))
			xml_remove(xml_child(fresh, (const char *)node->name));
	for (xmlNode *node = xmlFirstElementChild(old); node; node = next) {
		const struct ours *row = find_ours(ours + 1, node->name);
		xmlNode *same = xml_child(fresh, (const char *)node->name);

		next = xmlNextElementSibling(node);
		if (!row)
			xml_move(node, fresh);
		else if (same)
			take_rest(edit, same, node, row->parts);
	}
	xml_remove(old);
}

/* The first device of that name and this attribute of its child, from the node on. */
static xmlNode *
find_device(xmlNode *node, const char *child, const char *attr, const char *value)
{
	for (; node; node = xml_next(node))
		if (value && xml_attr_is(*child ? xml_child(node, child) : node, attr, value))
			return node;
	return NULL;
}

static xmlNode *
find_disk(const xmlNode *devices, const char *path)
{
	xmlNode *first = xml_child(devices, "disk");
	xmlNode *node = find_device(first, "source", "file", path);

	return node ? node : find_device(first, "source", "dev", path);
}

static char *
disk_path(const xmlNode *disk)
{
	const xmlNode *source = xml_child(disk, "source");
	char *path = xml_attr(source, "file");

	return path ? path : xml_attr(source, "dev");
}

static xmlNode *
find_controller(const xmlNode *devices, const char *index)
{
	xmlNode *node = xml_child(devices, "controller");

	for (; node; node = xml_next(node))
		if (index && xml_attr_is(node, "type", "scsi") && xml_attr_is(node, "index", index))
			return node;
	return NULL;
}

/* The controller that a disk is alone on, or NULL; the caller's. */
static char *
disk_controller(const xmlNode *disk)
{
	return xml_attr_is(xml_child(disk, "target"), "bus", "scsi")
		   ? xml_attr(xml_child(disk, "address"), "controller")
		   : NULL;
}

/* The controller that the disk of a fresh one had so far; number 0 has none. */
static xmlNode *
former_controller(const xmlNode *devices, const xmlNode *fresh_devices, const char *index)
{
	_free_ char *former = NULL;

	if (strcmp(index, "0") == 0)
		return find_controller(devices, index);
	for (const xmlNode *disk = xml_child(fresh_devices, "disk"); disk; disk = xml_next(disk)) {
		_free_ char *controller = disk_controller(disk);
		_free_ char *path = disk_path(disk);

		if (!str_equal(controller, index))
			continue;
		former = disk_controller(find_disk(devices, path));
		return find_controller(devices, former);
	}
	return NULL;
}

static void
edit_controllers(struct domain_edit *edit, xmlNode *devices, xmlNode *fresh_devices)
{
	xmlNode *fresh = xml_child(fresh_devices, "controller");

	for (; fresh; fresh = xml_next(fresh)) {
		_free_ char *index = xml_attr(fresh, "index"), *model = xml_attr(fresh, "model");
		xmlNode *old = former_controller(devices, fresh_devices, index);

		if (!old || !xml_attr_is(old, "model", model))
			continue;
		if (edit->other_machine)
			xml_remove(xml_child(old, "address"));
		take_over(edit, fresh, old, controller_ours);
	}
	/* Those of disks that go, or go to another bus. */
	for (const xmlNode *disk = xml_child(devices, "disk"); disk; disk = xml_next(disk)) {
		_free_ char *index = disk_controller(disk);

		xml_remove(find_controller(devices, index));
	}
	for (fresh = xml_child(fresh_devices, "controller"); fresh; fresh = xml_next(fresh)) {
		_free_ char *index = xml_attr(fresh, "index");

		domain_edit_lose(edit, find_controller(devices, index), "devices/controller",
		    "its number is a disk's");
	}
}

static bool
same_attr(const xmlNode *a, const xmlNode *b, const char *name)
{
	_free_ char *text_a = xml_attr(a, name), *text_b = xml_attr(b, name);

	return str_equal(text_a, text_b);
}

/* A virtio disk has a place of its own, a scsi disk that of its controller, a sata disk that of its
 * letter. */
static bool
keeps_place(const xmlNode *fresh, const xmlNode *old)
{
	const xmlNode *target = xml_child(fresh, "target");

	return xml_attr_is(target, "bus", "virtio") ||
	       (xml_attr_is(target, "bus", "sata") &&
		   same_attr(target, xml_child(old, "target"), "dev"));
}

static void
edit_disk(struct domain_edit *edit, xmlNode *fresh, xmlNode *old, const struct disk *was,
    const struct disk *disk)
{
	bool booted = was == &edit->old->osdisk || was->device == DISK_DEVICE_CDROM;
	xmlNode *boot = xml_child(old, "boot");

	/* A chain that was made since the disk was taken is its owner's. */
	xml_remove(xml_child(fresh, "backingStore"));
	if (was->bus != disk->bus || edit->other_machine || !keeps_place(fresh, old))
		xml_remove(xml_child(old, "address"));
	if (was->device == DISK_DEVICE_CDROM)
		xml_remove(xml_child(old, "readonly"));
	/* One that we did not write. */
	if (boot && !booted && !xml_child(fresh, "boot"))
		xml_move(boot, fresh);
	take_over(edit, fresh, old, disk_ours);
}

static void
edit_disks(struct domain_edit *edit, xmlNode *devices, const xmlNode *fresh_devices)
{
	xmlNode *fresh = xml_child(fresh_devices, "disk"), *old;

	for (; fresh; fresh = xml_next(fresh)) {
		_free_ char *path = disk_path(fresh);
		const struct disk *was = vmdef_find_disk(edit->old, path);

		old = find_disk(devices, path);
		if (old && was)
			edit_disk(edit, fresh, old, was, vmdef_find_disk(edit->def, path));
	}
	while ((old = xml_child(devices, "disk")))
		xml_remove(old);
}

/* All but those that are somebody's own. */
static void
drop_leases(struct domain_edit *edit, const xmlNode *devices, const struct vmdef *def)
{
	const struct disk *disk;
	char name[49];

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		if (disk->man == DISK_MAN_MODE_MANAGED &&
		    disk_resource_name(disk, edit->root, name, NULL) == 0)
			disk_xml_remove_lease(devices, name);
	}
}

/* With those that are somebody's own there may be no room for the VM's, which comes last. */
static void
edit_leases(struct domain_edit *edit, xmlNode *devices, const xmlNode *fresh_devices)
{
	char name[VM_LEASE_SIZE];
	xmlNode *node;
	bool had;

	vm_lease_name(edit->uuid, name);
	drop_leases(edit, devices, edit->old);
	drop_leases(edit, devices, edit->def);
	had = disk_xml_remove_lease(devices, name);
	while ((node = xml_child(fresh_devices, "lease"))) {
		_free_ char *key = xml_text(xml_child(node, "key"));

		if (str_equal(key, name) && !had && !disk_xml_has_room(devices))
			xml_remove(node);
		else
			xml_move(node, devices);
	}
}

static bool
same_source(const xmlNode *a, const xmlNode *b)
{
	const xmlNode *source_a = xml_child(a, "source"), *source_b = xml_child(b, "source");

	return same_attr(source_a, source_b, "network") && same_attr(source_a, source_b, "bridge");
}

/* A mac of a Vmdef may be written in capitals. */
static size_t
find_mac(xmlNode *const *olds, size_t n, const char *mac)
{
	for (size_t i = 0; i < n; i++) {
		_free_ char *is = olds[i] ? xml_attr(xml_child(olds[i], "mac"), "address") : NULL;

		if (is && mac && strcasecmp(is, mac) == 0)
			return i;
	}
	return n;
}

static void
edit_interface(struct domain_edit *edit, xmlNode *fresh, xmlNode *old)
{
	bool same_vlan = edit->old->vlanid == edit->def->vlanid;

	xml_remove(xml_child(same_vlan ? fresh : old, "vlan"));
	if (!same_source(fresh, old))
		xml_remove(xml_child(old, "source"));
	if (edit->other_machine)
		xml_remove(xml_child(old, "address"));
	take_over(edit, fresh, old, interface_ours);
}

/* Those that name a mac first; one that leaves it open is the one that was in its place. */
static void
edit_interfaces(struct domain_edit *edit, xmlNode *devices, const xmlNode *fresh_devices)
{
	xmlNode *olds[NETS_MAX] = { 0 }, *node = xml_child(devices, "interface");
	xmlNode *fresh = xml_child(fresh_devices, "interface");
	size_t n = 0;

	for (; node && n < NETS_MAX; node = xml_next(node))
		olds[n++] = node;
	for (; fresh; fresh = xml_next(fresh)) {
		_free_ char *mac = xml_attr(xml_child(fresh, "mac"), "address");
		size_t i = find_mac(olds, n, mac);

		if (i < n)
			edit_interface(edit, fresh, steal_ptr(olds[i]));
	}
	fresh = xml_child(fresh_devices, "interface");
	for (size_t i = 0; fresh && i < n; i++, fresh = xml_next(fresh)) {
		if (olds[i] && !xml_child(fresh, "mac") && same_source(olds[i], fresh))
			edit_interface(edit, fresh, steal_ptr(olds[i]));
	}
	while ((node = xml_child(devices, "interface")))
		xml_remove(node);
}

/* Orders that ours take are nobody else's. */
static void
edit_boots(struct domain_edit *edit, xmlNode *devices, const xmlNode *fresh_devices)
{
	int64_t taken = 0;

	for (const xmlNode *disk = xml_child(fresh_devices, "disk"); disk; disk = xml_next(disk))
		taken += xml_child(disk, "boot") != NULL;
	for (xmlNode *node = xmlFirstElementChild(devices); node;
	     node = xmlNextElementSibling(node)) {
		xmlNode *boot = xml_child(node, "boot");
		_free_ char *path = NULL, *name = NULL;
		const struct disk *disk;

		if (!boot || xml_attr_number(boot, "order", INT32_MAX) > taken)
			continue;
		name = disk_path(node);
		disk = vmdef_find_disk(edit->old, str_or_empty(name));
		if (disk && (disk == &edit->old->osdisk || disk->device == DISK_DEVICE_CDROM))
			continue;
		path = xasprintf("devices/%s/boot", (const char *)node->name);
		domain_edit_lose(edit, boot, path, "its order is that of a disk or CD");
	}
}

/* Another machine has other buses: libvirt chooses places and controllers anew. */
static void
forget_buses(struct domain_edit *edit, xmlNode *devices)
{
	static const char types[] = " pci usb ide sata fdc ";
	xmlNode *next;

	if (!edit->other_machine)
		return;
	for (xmlNode *node = xmlFirstElementChild(devices); node; node = next) {
		xmlNode *address = xml_child(node, "address");
		_free_ char *type = xml_attr(node, "type");
		bool controller = strcmp((const char *)node->name, "controller") == 0;

		next = xmlNextElementSibling(node);
		if (xml_attr_is(address, "type", "pci"))
			xml_remove(address);
		if (controller && type && lists(types, BAD_CAST type) &&
		    !xml_attr_is(node, "model", "none"))
			xml_remove(node);
	}
}

int
devices_renew(struct xml_tree *tree, const struct domain_info *info,
    const struct domain_renewal *renewal, const char *root, bool *changed, struct error *err)
{
	xmlNode *devices = xml_child(xmlDocGetRootElement(tree->doc), "devices");
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(&info->def, i)); i++) {
		xmlNode *node = find_disk(devices, disk->path);

		if (!node || xml_child(node, "backingStore") || !renewal->whole(disk, renewal->arg))
			continue;
		xml_add(tree, node, "backingStore", NULL);
		*changed = true;
	}
	if (!renewal->lease || info->leased || !devices || !disk_xml_has_room(devices))
		return 0;
	*changed = true;
	return disk_xml_add_vm_lease(tree, devices, info->uuid, root, err);
}

void
devices_edit(struct domain_edit *edit)
{
	static const char *const ours[] = { "controller", "disk", "interface" };
	xmlNode *devices = xml_child(edit->domain, "devices");
	xmlNode *fresh_devices = xml_child(edit->fresh, "devices"), *node;

	edit_boots(edit, devices, fresh_devices);
	edit_controllers(edit, devices, fresh_devices);
	edit_disks(edit, devices, fresh_devices);
	edit_leases(edit, devices, fresh_devices);
	edit_interfaces(edit, devices, fresh_devices);
	forget_buses(edit, devices);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		while ((node = xml_child(fresh_devices, ours[i])))
			xml_move(node, devices);
}
