/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/migration_xml.h"

#include <limits.h>

#include "domain/xml.h"

static xmlDoc *
parse(const char *xml, struct error *err)
{
	return xml_parse(xml, XML_DOMAIN_MAX, "domain", "the domain's XML", err);
}

int
migration_xml_cpu(const char *xml, char **ret, bool *custom, struct error *err)
{
	_xmldoc_ xmlDoc *doc = parse(xml, err);
	const xmlNode *cpu;

	if (!doc)
		return -1;
	cpu = xml_child(xmlDocGetRootElement(doc), "cpu");
	*ret = xml_node_text(cpu);
	*custom = xml_attr_is(cpu, "mode", "custom");
	return 0;
}

int
migration_xml_agent(const char *xml, char **ret, struct error *err)
{
	_xmldoc_ xmlDoc *doc = parse(xml, err);
	const xmlNode *channel;

	if (!doc)
		return -1;
	channel = xml_grandchild(xmlDocGetRootElement(doc), "devices", "channel");
	while (channel && !xml_attr_is(channel, "type", "qemu-vdagent"))
		channel = xml_next(channel);
	*ret = xml_node_text(channel);
	return 0;
}

int
migration_xml_pages(const char *xml, struct migration_pages *ret, struct error *err)
{
	_xmldoc_ xmlDoc *doc = parse(xml, err);
	const xmlNode *pages, *page;
	_free_ char *nodes = NULL;

	*ret = (struct migration_pages){ 0 };
	if (!doc)
		return -1;
	pages = xml_grandchild(xmlDocGetRootElement(doc), "memoryBacking", "hugepages");
	page = xml_child(pages, "page");
	nodes = xml_attr(page, "nodeset");
	ret->mixed = nodes || xml_next(page);
	/* libvirt writes every size in KiB. */
	if (page && !ret->mixed)
		ret->size = (unsigned int)xml_attr_number(page, "size", UINT_MAX);
	return 0;
}
