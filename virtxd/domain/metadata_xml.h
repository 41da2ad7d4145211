/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metadata elements in the domain XML. Private to the layer. */
#ifndef DOMAIN_METADATA_XML_H
#define DOMAIN_METADATA_XML_H

#include "domain/domain_xml.h"
#include "domain/xml.h"

/* Adds the element metadata to the domain. */
void metadata_xml_build(struct xml_tree *tree, xmlNode *domain, const struct vmdef *def);
/* Replaces our part of the domain's metadata by that of fresh, a domain as it is built. */
void metadata_xml_edit(struct xml_tree *tree, xmlNode *domain, const xmlNode *fresh);
/* Reads custom fields, operation log and what is wanted into info, and what libvirt's XML loses
 * otherwise: the NUMA nodes, the order of the disks (*order, the caller's, or NULL) and a vlan
 * without an interface
 * (*vlanid, or 0). */
void metadata_xml_read(
    const xmlNode *domain, struct domain_info *info, char **order, int16_t *vlanid);

/* The mark of a boot with a cloud-init CD, or NULL. */
xmlNode *metadata_xml_cd(const xmlNode *domain);

#endif
