/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network interfaces in the domain XML. Private to the layer. */
#ifndef DOMAIN_NET_XML_H
#define DOMAIN_NET_XML_H

#include "domain/domain_xml.h"
#include "domain/xml.h"

/* Adds all interfaces to the element devices. */
void net_xml_build(struct xml_tree *tree, xmlNode *devices, const struct vmdef *def);
/* Reads all interfaces and the vlan into info; marks it foreign where a Vmdef cannot say what is
 * there. */
void net_xml_read(const xmlNode *devices, struct domain_info *info);

#endif
