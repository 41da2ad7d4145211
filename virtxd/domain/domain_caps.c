/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt's capabilities and sysinfo XML tell of the host. */
#include "domain/domain_xml.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "domain/xml.h"
#include "proto/table.h"
#include "proto/uuid.h"

/* The first element of this name, from node on, whose attribute has this value. */
static const xmlNode *
find_with(const xmlNode *node, const char *attr, const char *value)
{
	while (node && !xml_attr_is(node, attr, value))
		node = xml_next(node);
	return node;
}

/* Whether one of the guests of this architecture can be of the type kvm. */
static bool
has_kvm(const xmlNode *caps, const char *arch)
{
	for (const xmlNode *guest = xml_child(caps, "guest"); guest; guest = xml_next(guest)) {
		const xmlNode *node = xml_child(guest, "arch");

		if (xml_attr_is(node, "name", arch) &&
		    find_with(xml_child(node, "domain"), "type", "kvm"))
			return true;
	}
	return false;
}

static int
count_cells(const xmlNode *host)
{
	const xmlNode *cell = xml_child(xml_grandchild(host, "topology", "cells"), "cell");
	int n = 0;

	for (; cell; cell = xml_next(cell))
		n++;
	return n > 0 ? n : 1;
}

/* The sizes of all pages but the smallest, which are no hugepages. */
static void
read_hugepages(const xmlNode *cpu, struct domain_caps *ret)
{
	unsigned int least = 0;

	for (const xmlNode *pages = xml_child(cpu, "pages"); pages; pages = xml_next(pages)) {
		/* libvirt writes every size in KiB. */
		unsigned int size = (unsigned int)xml_attr_number(pages, "size", UINT_MAX);

		if (!size)
			continue;
		if (!least || size < least) {
			unsigned int other = least;

			least = size;
			size = other;
		}
		if (size)
			*model_append(&ret->hugepages, &ret->n_hugepages) = size;
	}
}

/* "+64055:+64055", the same for each type of guest; libvirt always has numbers there. */
static void
read_qemu_user(const xmlNode *host, int64_t *uid, int64_t *gid)
{
	const xmlNode *model = xml_child(host, "secmodel");
	unsigned int u, g;
	char end;

	*uid = *gid = -1;
	for (; model; model = xml_next(model)) {
		_free_ char *name = xml_text(xml_child(model, "model"));
		_free_ char *label = xml_text(xml_child(model, "baselabel"));

		if (str_equal(name, "dac") && label &&
		    sscanf(label, "+%10u:+%10u%c", &u, &g, &end) == 2) {
			*uid = u;
			*gid = g;
		}
	}
}

int
domain_caps_read(const char *xml, struct domain_caps *ret, struct error *err)
{
	_xmldoc_ xmlDoc *doc =
	    xml_parse(xml, XML_CAPS_MAX, "capabilities", "libvirt's capabilities XML", err);
	_free_ char *uuid = NULL, *arch = NULL;
	const xmlNode *caps, *host, *cpu;
	char normal[UUID_TEXT_SIZE];

	if (!doc)
		return -1;
	caps = xmlDocGetRootElement(doc);
	host = xml_child(caps, "host");
	cpu = xml_child(host, "cpu");
	uuid = xml_text(xml_child(host, "uuid"));
	if (!uuid || uuid_normalize(uuid, normal) < 0)
		return error_set(err, 500,
		    "libvirt's capabilities XML has no valid host uuid ('%.64s')",
		    str_or_empty(uuid));
	arch = xml_text(xml_child(cpu, "arch"));
	if (str_empty(arch))
		return error_set(
		    err, 500, "libvirt's capabilities XML does not say the host's architecture");
	ret->host_uuid = xstrdup(normal);
	ret->vendor = xml_text(xml_child(cpu, "vendor"));
	ret->model = xml_text(xml_child(cpu, "model"));
	ret->tsc_hz = xml_attr_number(
	    find_with(xml_child(cpu, "counter"), "name", "tsc"), "frequency", INT64_MAX);
	ret->kvm = has_kvm(caps, arch);
	ret->nodes = count_cells(host);
	ret->cpu = xml_node_text(cpu);
	read_hugepages(cpu, ret);
	read_qemu_user(host, &ret->qemu_uid, &ret->qemu_gid);
	ret->arch = steal_ptr(arch);
	return 0;
}

void
domain_caps_clear(struct domain_caps *caps)
{
	if (!caps)
		return;
	free(caps->host_uuid);
	free(caps->arch);
	free(caps->vendor);
	free(caps->model);
	free(caps->cpu);
	free(caps->hugepages);
	memset(caps, 0, sizeof(*caps));
}

void
domain_sysinfo_read(const char *xml, struct hostdef_sysinfo *ret)
{
	_xmldoc_ xmlDoc *doc = xml_parse(xml, XML_CAPS_MAX, "sysinfo", "the sysinfo XML", NULL);
	const xmlNode *entry = NULL;

	if (doc)
		entry = xml_grandchild(xmlDocGetRootElement(doc), "bios", "entry");
	ret->version = xml_text(find_with(entry, "name", "version"));
	ret->date = xml_text(find_with(entry, "name", "date"));
}
