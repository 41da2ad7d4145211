/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network interfaces in the domain XML. */
#include "domain/net_xml.h"

#include "domain/domain_info.h"

/* Ours have 8 at most; a domain of others is read up to here. */
#define READ_MAX 64
#define VLAN_MAX 4094

static void
build_net(struct xml_tree *tree, xmlNode *devices, const struct net *net, int vlanid)
{
	const char *type = enum_word(&net_type_enum, net->nettype);
	xmlNode *node = xml_add(tree, devices, "interface", "type", type, NULL);

	if (!str_empty(net->mac))
		xml_add(tree, node, "mac", "address", net->mac, NULL);
	xml_add(tree, node, "source", type, net->name, NULL);
	if (vlanid > 0)
		xml_set_number(tree, xml_add(tree, xml_add(tree, node, "vlan", NULL), "tag", NULL),
		    "id", vlanid);
	xml_add(tree, node, "model", "type", enum_word(&net_model_enum, net->model), NULL);
	xml_add(tree, node, "driver", "txmode", "iothread", NULL);
}

void
net_xml_build(struct xml_tree *tree, xmlNode *devices, const struct vmdef *def)
{
	for (size_t i = 0; i < def->n_nets; i++)
		build_net(tree, devices, &def->nets[i], def->vlanid);
}

static void
read_net(const xmlNode *node, struct net *net, struct domain_info *info)
{
	const xmlNode *source = xml_child(node, "source");
	_free_ char *model = xml_attr(xml_child(node, "model"), "type");
	int value = enum_parse(&net_model_enum, str_or_empty(model));

	net->mac = xml_attr(xml_child(node, "mac"), "address");
	/* A running domain says both where the network is a bridge: the network is what was asked
	 * for. */
	net->nettype = NET_TYPE_NETWORK;
	net->name = xml_attr(source, "network");
	if (!net->name && (net->name = xml_attr(source, "bridge")))
		net->nettype = NET_TYPE_BRIDGE;
	if (!net->name)
		domain_info_foreign(info,
		    "its interface '%s' is connected to neither a network nor a bridge",
		    str_or_empty(net->mac));
	if (value < 0)
		domain_info_foreign(info, "its interface '%s' has the model '%s'",
		    str_or_empty(net->mac), str_or_empty(model));
	else
		net->model = (enum net_model)value;
}

void
net_xml_read(const xmlNode *devices, struct domain_info *info)
{
	struct vmdef *def = &info->def;

	for (const xmlNode *node = xml_child(devices, "interface"); node; node = xml_next(node)) {
		if (def->n_nets == READ_MAX) {
			domain_info_foreign(info, "it has more than %d interfaces", READ_MAX);
			break;
		}
		if (!def->vlanid)
			def->vlanid = (int16_t)xml_attr_number(
			    xml_grandchild(node, "vlan", "tag"), "id", VLAN_MAX);
		read_net(node, model_append(&def->nets, &def->n_nets), info);
	}
}
