/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random Vmdefs that vmdef_check accepts, and how one that came back from XML is compared. */
#ifndef TEST_UNIT_RANDOM_VMDEF_H
#define TEST_UNIT_RANDOM_VMDEF_H

#include <stdio.h>
#include <string.h>

#include "proto/model.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "random_model.h"

static inline unsigned int
random_below(struct random *r, unsigned int n)
{
	return (unsigned int)(random_next(r) >> 33) % n;
}

/* Pieces that JSON, XML or a path may stumble over, at most max bytes of them, at least one. */
static inline void
random_words(struct random *r, struct buffer *out, size_t max)
{
	static const char *const pieces[] = { "a", "web", "Z9", " ", "<", ">", "&", "&amp;", "\"",
		"'", "]]>", "<!--", "%s", "\\", "ö", "日", "\xf0\x9f\x98\x80", "-", "_", ".", "{}",
		",", "=", ":" };
	size_t start = out->len;

	for (unsigned int n = 1 + random_below(r, 9); n > 0; n--) {
		const char *piece = pieces[random_below(r, ARRAY_SIZE(pieces))];

		if (out->len - start + strlen(piece) <= max)
			buffer_add(out, piece, strlen(piece));
	}
}

static inline char *
random_name(struct random *r, size_t max)
{
	_buffer_ struct buffer out = { 0 };

	random_words(r, &out, max);
	/* No name begins or ends with a space, or is "." or "..". */
	if (out.data[0] == ' ' || out.data[0] == '.')
		out.data[0] = 'a';
	if (out.data[out.len - 1] == ' ')
		out.data[out.len - 1] = 'a';
	return buffer_steal(&out, NULL);
}

static inline void
random_uuid(struct random *r, char out[UUID_TEXT_SIZE])
{
	uint64_t a = random_next(r), b = random_next(r);

	snprintf(out, UUID_TEXT_SIZE, "%08x-%04x-4%03x-8%03x-%04x%08x", (unsigned int)(a >> 32),
	    (unsigned int)(a >> 16) & 0xffff, (unsigned int)a & 0xfff,
	    (unsigned int)(b >> 48) & 0xfff, (unsigned int)(b >> 32) & 0xffff, (unsigned int)b);
}

/* A path that no other disk of the Vmdef has, thanks to the number. */
static inline char *
random_path(struct random *r, const struct disk *disk, const char *root, size_t number)
{
	static const char *const luns[] = { "dm-uuid-mpath-", "scsi-", "nvme-", "wwn-0x" };
	static const char *const suffixes[] = { ".qcow2", ".raw", ".iso" };
	bool iso = disk->device == DISK_DEVICE_CDROM && disk->prov == DISK_PROV_MODE_NONE;
	_buffer_ struct buffer out = { 0 };

	if (disk->device == DISK_DEVICE_LUN) {
		buffer_printf(&out, "/dev/disk/by-id/%s36001405d59436%02zu",
		    luns[random_below(r, ARRAY_SIZE(luns))], number);
		return buffer_steal(&out, NULL);
	}
	buffer_printf(&out, "%s/ds/%zu", root, number);
	if (random_below(r, 2))
		buffer_add(&out, "/", 1);
	random_words(r, &out, 60);
	buffer_printf(&out, "%s", suffixes[iso ? 2 : random_below(r, 2)]);
	return buffer_steal(&out, NULL);
}

static inline void
random_disk(
    struct random *r, struct disk *disk, const char *root, size_t number, unsigned int *leases)
{
	disk->bus = (enum disk_bus)random_below(r, 4);
	disk->device = DISK_DEVICE_DISK;
	if (disk->bus == DISK_BUS_VIRTIO_SCSI)
		disk->device = (enum disk_device)random_below(r, 3);
	else if (disk->bus != DISK_BUS_VIRTIO_BLK)
		disk->device = (enum disk_device)random_below(r, 2);
	if (*leases < VMDEF_MANAGED_MAX && random_below(r, 2)) {
		++*leases;
		disk->man = DISK_MAN_MODE_MANAGED;
		disk->prov =
		    (enum disk_prov_mode)random_below(r, disk->device == DISK_DEVICE_LUN ? 2 : 3);
		disk->size = 1 + (int32_t)random_below(r, 1000);
	}
	disk->path = random_path(r, disk, root, number);
}

static inline void
random_net(struct random *r, struct net *net)
{
	uint64_t mac = random_next(r);

	net->nettype = (enum net_type)random_below(r, 2);
	net->model = (enum net_model)random_below(r, 3);
	net->name = random_name(r, 32);
	if (random_below(r, 2))
		net->mac = xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", (unsigned int)mac & 0xfe,
		    (unsigned int)(mac >> 8) & 0xff, (unsigned int)(mac >> 16) & 0xff,
		    (unsigned int)(mac >> 24) & 0xff, (unsigned int)(mac >> 32) & 0xff, 1);
}

static inline void
random_machine(struct random *r, struct vmdef *def)
{
	static const char *const models[] = { "host-passthrough", "host-model", "maximum", "qemu64",
		"kvm64", "EPYC", "Skylake-Client" };
	char uuid[UUID_TEXT_SIZE];

	def->name = random_name(r, 32);
	def->cpudef.model = xstrdup(models[random_below(r, ARRAY_SIZE(models))]);
	def->cpudef.nodes = (int16_t)random_below(r, 3);
	def->cpudef.sockets = (int16_t)(1 + random_below(r, 8));
	def->cpudef.cores = (int16_t)(1 + random_below(r, 8));
	def->cpudef.threads = 1;
	def->memory.total = 1 + (int32_t)(random_below(r, INT32_MAX) >> random_below(r, 31));
	def->memory.hp = random_below(r, 2);
	def->numa.placement = random_below(r, 2);
	def->firmware = (enum firmware_type)random_below(r, 2);
	if (random_below(r, 2))
		def->vlanid = (int16_t)random_below(r, 4095);
	random_uuid(r, uuid);
	def->genid = xstrdup((const char *[]){ "", "auto", uuid }[random_below(r, 3)]);
}

/* Fills a zero Vmdef. */
static inline void
random_vmdef(struct random *r, const char *root, struct vmdef *def)
{
	unsigned int leases = 0;

	random_machine(r, def);
	random_disk(r, &def->osdisk, root, 0, &leases);
	for (unsigned int n = random_below(r, VMDEF_DISKS_MAX + 1); n > 0; n--)
		random_disk(r, model_append(&def->disks, &def->n_disks), root, n, &leases);
	for (unsigned int n = random_below(r, VMDEF_NETS_MAX + 1); n > 0; n--)
		random_net(r, model_append(&def->nets, &def->n_nets));
	for (unsigned int n = random_below(r, 5); n > 0; n--) {
		struct custom_field *field = model_append(&def->custom, &def->n_custom);

		field->name = xasprintf("Field_%u", n);
		field->value = xasprintf("%s%u", random_below(r, 2) ? "v_" : "", n);
	}
}

/* Makes a copy of what was asked for into what must come back: sizes are not in the XML, and
 * libvirt chooses the addresses and the genid that were left to it. */
static inline void
vmdef_expect(const struct vmdef *asked, const struct vmdef *got, struct vmdef *expected)
{
	char uuid[UUID_TEXT_SIZE];

	model_copy(&vmdef_model, expected, asked);
	expected->osdisk.size = 0;
	for (size_t i = 0; i < expected->n_disks; i++)
		expected->disks[i].size = 0;
	for (size_t i = 0; i < expected->n_nets && i < got->n_nets; i++)
		if (str_empty(expected->nets[i].mac) && !str_empty(got->nets[i].mac))
			str_set(&expected->nets[i].mac, got->nets[i].mac);
	if (str_equal(expected->genid, "auto") &&
	    uuid_normalize(str_or_empty(got->genid), uuid) == 0)
		str_set(&expected->genid, got->genid);
}

#endif
