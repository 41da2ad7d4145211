/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's domain XML to a Vmdef. */
#include "domain/domain_xml.h"

#include <string.h>

#include "domain/disk_xml.h"
#include "domain/domain_info.h"
#include "domain/metadata_xml.h"
#include "domain/net_xml.h"
#include "domain/xml.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

/* Longer names are of others; they would not fit into the gossip. */
#define NAME_BYTES_MAX 128

/* Units of memory as libvirt knows them, in bytes; it writes KiB, we write MiB. */
static const struct unit {
	const char *name;
	int64_t bytes;
} units[] = {
	{ "KiB", 1LL << 10 },
	{ "k", 1LL << 10 },
	{ "MiB", 1LL << 20 },
	{ "M", 1LL << 20 },
	{ "GiB", 1LL << 30 },
	{ "G", 1LL << 30 },
	{ "TiB", 1LL << 40 },
	{ "T", 1LL << 40 },
	{ "b", 1 },
	{ "bytes", 1 },
	{ "KB", 1000 },
	{ "MB", 1000LL * 1000 },
	{ "GB", 1000LL * 1000 * 1000 },
	{ "TB", 1000LL * 1000 * 1000 * 1000 },
};

static int32_t
read_mib(const xmlNode *node)
{
	_free_ char *name = xml_attr(node, "unit");
	int64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(name ? name : "KiB", units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(
			xml_text_number(node, INT64_MAX), units[i].bytes, &bytes) ||
		    bytes >> 20 > INT32_MAX)
			return INT32_MAX;
		return (int32_t)(bytes >> 20);
	}
	return 0;
}

/* The title, or the name where there is none, cut to a length between two characters. */
static char *
read_name(const xmlNode *domain)
{
	char *name = xml_text(xml_child(domain, "title"));
	size_t len;

	if (str_empty(name)) {
		free(name);
		name = xml_text(xml_child(domain, "name"));
	}
	if (!name || strlen(name) <= NAME_BYTES_MAX)
		return name;
	for (len = NAME_BYTES_MAX; ((unsigned char)name[len] & 0xc0) == 0x80;)
		len--;
	name[len] = '\0';
	return name;
}

static void
read_cpu(const xmlNode *domain, struct cpudef *cpudef)
{
	const xmlNode *cpu = xml_child(domain, "cpu");
	const xmlNode *topology = xml_child(cpu, "topology");

	cpudef->model = xml_attr(cpu, "mode");
	if (str_empty(cpudef->model) || strcmp(cpudef->model, "custom") == 0) {
		free(cpudef->model);
		cpudef->model = xml_text(xml_child(cpu, "model"));
	}
	if (topology) {
		cpudef->sockets = (int16_t)xml_attr_number(topology, "sockets", INT16_MAX);
		cpudef->cores = (int16_t)xml_attr_number(topology, "cores", INT16_MAX);
		cpudef->threads = (int16_t)xml_attr_number(topology, "threads", INT16_MAX);
	} else {
		/* What libvirt does then: a socket for each vcpu. */
		cpudef->sockets = (int16_t)xml_text_number(xml_child(domain, "vcpu"), INT16_MAX);
		cpudef->cores = 1;
		cpudef->threads = 1;
	}
}

static enum firmware_type
read_firmware(const xmlNode *domain, bool foreign)
{
	const xmlNode *os = xml_child(domain, "os");

	if (xml_attr_is(os, "firmware", "efi"))
		return FIRMWARE_TYPE_UEFI;
	if (xml_attr_is(os, "firmware", "bios") || xml_child(os, "bios"))
		return FIRMWARE_TYPE_BIOS;
	/* What we define has the element bios. Who else wants an efi without the attribute must say
	 * where it is. */
	if (foreign && !xml_child(os, "loader"))
		return FIRMWARE_TYPE_BIOS;
	/* libvirt drops the attribute when it migrates a domain. */
	return FIRMWARE_TYPE_UEFI;
}

static char *
read_variables(const xmlNode *nvram)
{
	const xmlNode *source = xml_child(nvram, "source");
	char *file = source ? xml_attr(source, "file") : xml_text(nvram);

	/* A source that is no file. */
	return source && !file ? xstrdup("") : file;
}

/* All but the devices and the firmware. */
static void
read_machine(const xmlNode *domain, struct vmdef *def)
{
	const xmlNode *backing = xml_child(domain, "memoryBacking");

	def->name = read_name(domain);
	read_cpu(domain, &def->cpudef);
	def->memory.total = read_mib(xml_child(domain, "memory"));
	def->memory.hp = xml_child(backing, "hugepages") != NULL;
	def->numa.placement = xml_child(domain, "numatune") != NULL;
	def->genid = xml_text(xml_child(domain, "genid"));
	/* Not yet defined: libvirt replaces the empty element by a value. */
	if (def->genid && !*def->genid)
		str_set(&def->genid, "auto");
}

int
domain_xml_read(const char *xml, const char *root, struct domain_info *ret, struct error *err)
{
	_xmldoc_ xmlDoc *doc = xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
	_free_ char *uuid = NULL, *order = NULL;
	const xmlNode *domain, *devices;
	char normal[UUID_TEXT_SIZE];
	int16_t vlanid;

	if (!doc)
		return -1;
	domain = xmlDocGetRootElement(doc);
	uuid = xml_text(xml_child(domain, "uuid"));
	if (!uuid || uuid_normalize(uuid, normal) < 0)
		return error_set(
		    err, 500, "the domain's XML has no valid uuid ('%.64s')", str_or_empty(uuid));
	ret->uuid = xstrdup(normal);
	ret->lease = vm_lease_disk(xcalloc(1, VM_LEASE_SIZE));
	vm_lease_name(normal, ret->lease.path);
	ret->type = xml_attr(domain, "type");
	devices = xml_child(domain, "devices");
	metadata_xml_read(domain, ret, &order, &vlanid);
	read_machine(domain, &ret->def);
	disk_xml_read(devices, root, order, ret);
	if (!ret->cloud_init && metadata_xml_cd(domain))
		ret->cloud_init = xasprintf("%s/ds/ci/%s/seed.iso", root, ret->uuid);
	net_xml_read(devices, ret);
	if (!ret->def.n_nets)
		ret->def.vlanid = vlanid;
	ret->def.firmware = read_firmware(domain, ret->foreign);
	ret->variables = read_variables(xml_grandchild(domain, "os", "nvram"));
	return 0;
}
