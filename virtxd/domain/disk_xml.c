/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks, their controllers and their leases in the domain XML. */
#include "domain/disk_xml.h"

#include <string.h>

#include "domain/domain_info.h"
#include "proto/vmdef.h"

/* Ours have 21 disks at most; a domain of others is read up to here. */
#define READ_MAX  64
#define LOCKSPACE "__VIRTX__DISKS__"

/* What the target bus and the controller model say of a bus; indexed by disk_bus. */
static const struct bus {
	const char *type;	/* the target's bus */
	const char *controller; /* model of the controller that each disk has to itself, or "" */
	char letters[3];
	bool disk_iothread;	  /* the disk takes an iothread */
	bool controller_iothread; /* its controller does */
} buses[] = {
	[DISK_BUS_VIRTIO_BLK] = { "virtio", "", "vd", true, false },
	[DISK_BUS_VIRTIO_SCSI] = { "scsi", "virtio-scsi", "sd", false, true },
	[DISK_BUS_SATA] = { "sata", "", "sd", false, false },
	[DISK_BUS_SCSI] = { "scsi", "lsilogic", "sd", false, false },
};

static const char man_letters[] = {
	[DISK_MAN_MODE_UNMANAGED] = 'U',
	[DISK_MAN_MODE_MANAGED] = 'M',
};

static const char prov_letters[] = {
	[DISK_PROV_MODE_NONE] = 'U',
	[DISK_PROV_MODE_THIN] = 't',
	[DISK_PROV_MODE_THICK] = 'T',
};

/* What was handed out so far. scsi starts at 1: controller 0, and with it sda, is the cloud-init
 * CD's. */
struct counts {
	unsigned int virtio;
	unsigned int scsi;
	unsigned int sata;
	unsigned int iothreads;
	unsigned int boots;
};

#define COUNTS_START      \
	{                 \
		.scsi = 1 \
	}

/* The place of the next disk of a bus. */
struct place {
	unsigned int index; /* within its type */
	char target[4];	    /* "vda" */
};

static struct place
counts_take(struct counts *counts, const struct bus *bus)
{
	struct place place = { 0 };
	unsigned int letter;

	if (bus == &buses[DISK_BUS_VIRTIO_BLK]) {
		letter = place.index = counts->virtio++;
	} else {
		letter = counts->scsi + counts->sata;
		place.index = bus == &buses[DISK_BUS_SATA] ? counts->sata++ : counts->scsi++;
	}
	memcpy(place.target, bus->letters, 2);
	place.target[2] = (char)('a' + letter); /* 21 disks at most: never past z */
	return place;
}

unsigned int
disk_xml_iothreads(const struct vmdef *def)
{
	const struct disk *disk;
	unsigned int n = 0;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++)
		n += buses[disk->bus].disk_iothread || buses[disk->bus].controller_iothread;
	return n;
}

char *
disk_xml_order(const struct vmdef *def)
{
	struct counts counts = COUNTS_START;
	_buffer_ struct buffer order = { 0 };
	const struct disk *disk;

	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++) {
		struct place place = counts_take(&counts, &buses[disk->bus]);

		if (i > 0)
			buffer_printf(&order, "%s%s", i > 1 ? " " : "", place.target);
	}
	return buffer_steal(&order, NULL);
}

static void
build_source(struct xml_tree *tree, xmlNode *node, const struct disk *disk)
{
	xmlNode *source;

	if (disk->device != DISK_DEVICE_LUN) {
		xml_add(tree, node, "source", "file", disk->path, NULL);
		return;
	}
	source = xml_add(tree, node, "source", "dev", disk->path, NULL);
	xml_add(tree, source, "reservations", "managed", "yes", NULL);
}

static void
build_controller(struct xml_tree *tree, xmlNode *devices, const struct bus *bus, unsigned int index,
    unsigned int iothread)
{
	xmlNode *node = xml_add(tree, devices, "controller", "type", bus->type, NULL);

	xml_set_number(tree, node, "index", index);
	xml_set(tree, node, "model", bus->controller);
	if (iothread)
		xml_set_number(tree, xml_add(tree, node, "driver", NULL), "iothread", iothread);
}

static void
build_alias(struct xml_tree *tree, xmlNode *node, const struct disk *disk, unsigned int index)
{
	const struct bus *bus = &buses[disk->bus];
	_free_ char *name = xasprintf("ua-%c_%c_%s_%s_%u", man_letters[disk->man],
	    prov_letters[disk->prov], bus->type, bus->controller, index);

	xml_add(tree, node, "alias", "name", name, NULL);
}

static void
build_disk(struct xml_tree *tree, xmlNode *devices, const struct disk *disk, struct counts *counts)
{
	const struct bus *bus = &buses[disk->bus];
	struct place place = counts_take(counts, bus);
	bool lun = disk->device == DISK_DEVICE_LUN;
	unsigned int iothread =
	    bus->disk_iothread || bus->controller_iothread ? ++counts->iothreads : 0;
	xmlNode *driver, *node;

	if (*bus->controller)
		build_controller(tree, devices, bus, place.index, iothread);
	node = xml_add(tree, devices, "disk", "type", lun ? "block" : "file", "device",
	    enum_word(&disk_device_enum, disk->device), NULL);
	if (lun)
		xml_set(tree, node, "rawio", "yes");
	driver = xml_add(tree, node, "driver", "name", "qemu", "type",
	    vmdef_disk_format(disk->path) == DISK_FORMAT_QCOW2 ? "qcow2" : "raw", "cache",
	    lun ? "directsync" : "none", NULL);
	if (bus->disk_iothread)
		xml_set_number(tree, driver, "iothread", iothread);
	build_source(tree, node, disk);
	/* No image of a chain: what a header names as its backing file is not opened. */
	xml_add(tree, node, "backingStore", NULL);
	xml_add(tree, node, "target", "dev", place.target, "bus", bus->type, NULL);
	if (disk->device == DISK_DEVICE_CDROM)
		xml_add(tree, node, "readonly", NULL);
	/* The osdisk comes first, so it is the one that gets 1. */
	if (!counts->boots || disk->device == DISK_DEVICE_CDROM)
		xml_set_number(tree, xml_add(tree, node, "boot", NULL), "order", ++counts->boots);
	build_alias(tree, node, disk, place.index);
	if (*bus->controller)
		xml_set_number(tree, xml_add(tree, node, "address", "type", "drive", NULL),
		    "controller", place.index);
}

int
disk_xml_add_lease(struct xml_tree *tree, xmlNode *devices, const struct disk *disk,
    const char *root, struct error *err)
{
	_free_ char *path = NULL;
	xmlNode *lease;
	char name[49];

	if (disk_resource_name(disk, root, name, err) < 0)
		return -1;
	path = xasprintf("%s/lock/%s/%s", root, name, name);
	lease = xml_add(tree, devices, "lease", NULL);
	xml_add_text(tree, lease, "lockspace", LOCKSPACE);
	xml_add_text(tree, lease, "key", name);
	xml_add(tree, lease, "target", "path", path, "offset", "0", NULL);
	return 0;
}

int
disk_xml_add_vm_lease(
    struct xml_tree *tree, xmlNode *devices, const char *uuid, const char *root, struct error *err)
{
	char name[VM_LEASE_SIZE];
	const struct disk disk = vm_lease_disk(name);

	vm_lease_name(uuid, name);
	return disk_xml_add_lease(tree, devices, &disk, root, err);
}

bool
disk_xml_has_room(const xmlNode *devices)
{
	unsigned int n = 0;

	for (const xmlNode *node = xml_child(devices, "lease"); node; node = xml_next(node))
		n++;
	return n < VMDEF_LEASES_MAX;
}

bool
disk_xml_remove_lease(const xmlNode *devices, const char *name)
{
	xmlNode *node = xml_child(devices, "lease"), *next;
	bool removed = false;

	for (; node; node = next) {
		_free_ char *key = xml_text(xml_child(node, "key"));

		next = xml_next(node);
		if (!str_equal(key, name))
			continue;
		xml_remove(node);
		removed = true;
	}
	return removed;
}

int
disk_xml_build(struct xml_tree *tree, xmlNode *devices, const struct vmdef *def, const char *uuid,
    const char *root, struct error *err)
{
	struct counts counts = COUNTS_START;
	const struct disk *disk;

	build_controller(tree, devices, &buses[DISK_BUS_VIRTIO_SCSI], 0, 0);
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++)
		build_disk(tree, devices, disk, &counts);
	for (size_t i = 0; (disk = vmdef_disk(def, i)); i++)
		if (disk->man == DISK_MAN_MODE_MANAGED &&
		    disk_xml_add_lease(tree, devices, disk, root, err) < 0)
			return -1;
	/* An update of a VM from before it had one may leave no room. */
	return disk_xml_has_room(devices) ? disk_xml_add_vm_lease(tree, devices, uuid, root, err)
					  : 0;
}

static int
find_letter(const char *letters, size_t n, char letter)
{
	const char *at = letter ? memchr(letters, letter, n) : NULL;

	return at ? (int)(at - letters) : -1;
}

bool
disk_xml_read_alias(const char *alias, struct disk *disk)
{
	int man, prov;

	if (!alias || strncmp(alias, "ua-", 3) != 0 || strlen(alias) < 7 || alias[4] != '_' ||
	    alias[6] != '_')
		return false;
	man = find_letter(man_letters, sizeof(man_letters), alias[3]);
	prov = find_letter(prov_letters, sizeof(prov_letters), alias[5]);
	if (man < 0 || prov < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		_free_ char *bus = xasprintf("%s_%s_", buses[i].type, buses[i].controller);
		size_t len = strlen(bus);

		if (strncmp(alias + 7, bus, len) != 0 || !alias[7 + len] ||
		    alias[7 + len + strspn(alias + 7 + len, "0123456789")])
			continue;
		disk->man = (enum disk_man_mode)man;
		disk->prov = (enum disk_prov_mode)prov;
		disk->bus = (enum disk_bus)i;
		return true;
	}
	return false;
}

/* The nearest bus for a disk that has no alias of ours. */
static enum disk_bus
guess_bus(const char *type)
{
	for (size_t i = 0; type && i < ARRAY_SIZE(buses); i++)
		if (strcmp(type, buses[i].type) == 0)
			return (enum disk_bus)i;
	return DISK_BUS_SATA;
}

bool
disk_xml_is_cloud_init(const xmlNode *node, const char *path, const char *root)
{
	_free_ char *folder = xasprintf("%s/ds/ci/", root);

	return xml_attr_is(xml_child(node, "target"), "bus", "scsi") &&
	       xml_attr_is(xml_child(node, "address"), "controller", "0") &&
	       strncmp(str_or_empty(path), folder, strlen(folder)) == 0;
}

/* One disk read, with what decides its place. */
struct found {
	struct disk disk;
	unsigned int rank; /* ascending; FOUND_LAST for one that the recorded order does not name */
	bool os;
};

#define FOUND_LAST UINT32_MAX

/* The position of a target's name in the recorded order. */
static unsigned int
find_rank(const char *order, const char *target)
{
	size_t len = strlen(str_or_empty(target));
	unsigned int rank = 0;

	for (const char *at = str_or_empty(order); len && *at && rank < READ_MAX; rank++) {
		size_t word = strcspn(at, " ");

		if (word == len && memcmp(at, target, len) == 0)
			return rank;
		at += word;
		at += strspn(at, " ");
	}
	return FOUND_LAST;
}

static void
read_disk(const xmlNode *node, char *path, const char *order, struct found *found,
    struct domain_info *info)
{
	_free_ char *target = xml_attr(xml_child(node, "target"), "dev");
	_free_ char *bus = xml_attr(xml_child(node, "target"), "bus");
	_free_ char *alias = xml_attr(xml_child(node, "alias"), "name");
	_free_ char *word = xml_attr(node, "device");
	int device = enum_parse(&disk_device_enum, word ? word : "disk");

	found->disk.path = path;
	found->disk.device = device < 0 ? DISK_DEVICE_DISK : (enum disk_device)device;
	found->os = xml_attr_number(xml_child(node, "boot"), "order", INT32_MAX) == 1;
	found->rank = find_rank(order, target);
	if (device < 0)
		domain_info_foreign(
		    info, "its device '%s' is of the kind '%s'", str_or_empty(target), word);
	if (!disk_xml_read_alias(alias, &found->disk)) {
		found->disk.bus = guess_bus(bus);
		domain_info_foreign(info, "its disk '%s' has no alias of VirtX (it has '%s')",
		    str_or_empty(target), str_or_empty(alias));
	}
}

/* By rank, and as they came where ranks are equal: there are few. */
static void
sort_found(struct found *found, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t at = i; at > 0 && found[at - 1].rank > found[at].rank; at--) {
			struct found moved = found[at];

			found[at] = found[at - 1];
			found[at - 1] = moved;
		}
}

void
disk_xml_read(const xmlNode *devices, const char *root, const char *order, struct domain_info *info)
{
	_free_ struct found *found = NULL;
	size_t n = 0;
	bool os = false;

	for (const xmlNode *node = xml_child(devices, "disk"); node; node = xml_next(node)) {
		const xmlNode *source = xml_child(node, "source");
		char *path;

		if (n == READ_MAX) {
			domain_info_foreign(info, "it has more than %d disks", READ_MAX);
			break;
		}
		path = xml_attr(source, "file");
		if (!path)
			path = xml_attr(source, "dev");
		if (!info->cloud_init && disk_xml_is_cloud_init(node, path, root))
			info->cloud_init = path;
		else
			read_disk(node, path, order, model_append(&found, &n), info);
	}
	for (const xmlNode *node = xml_child(devices, "lease"); node; node = xml_next(node)) {
		_free_ char *lockspace = xml_text(xml_child(node, "lockspace"));
		_free_ char *key = xml_text(xml_child(node, "key"));

		if (!str_equal(lockspace, LOCKSPACE))
			continue;
		info->ours = true;
		info->leased |= str_equal(key, info->lease.path);
	}
	info->has_room = disk_xml_has_room(devices);
	sort_found(found, n);
	for (size_t i = 0; i < n; i++) {
		if (found[i].os && !os) {
			os = true;
			info->def.osdisk = found[i].disk;
		} else {
			*model_append(&info->def.disks, &info->def.n_disks) = found[i].disk;
		}
	}
	if (!os)
		domain_info_foreign(info, "no disk of it has the boot order 1");
}

int
domain_xml_lease_names(const char *xml, char (**ret)[49], size_t *n, struct error *err)
{
	_xmldoc_ xmlDoc *doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	const xmlNode *node;

	if (!doc)
		return -1;
	node = xml_grandchild(xmlDocGetRootElement(doc), "devices", "lease");
	for (; node; node = xml_next(node)) {
		_free_ char *space = xml_text(xml_child(node, "lockspace"));
		_free_ char *key = xml_text(xml_child(node, "key"));

		if (str_equal(space, LOCKSPACE))
			snprintf(*model_append(ret, n), sizeof(**ret), "%s", str_or_empty(key));
	}
	return 0;
}

int
domain_xml_leases(const char *xml, unsigned int *ret, struct error *err)
{
	_free_ char(*names)[49] = NULL;
	size_t n = 0;
	int r = domain_xml_lease_names(xml, &names, &n, err);

	*ret = (unsigned int)n;
	return r;
}
