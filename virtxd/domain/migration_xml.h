/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a migration asks of a domain's XML. All functions: 500 for XML that is no domain's. */
#ifndef DOMAIN_MIGRATION_XML_H
#define DOMAIN_MIGRATION_XML_H

#include "proto/error.h"

/* The element cpu, the caller's; NULL where there is none. *custom tells that it says all of the
 * CPU by itself, and nothing by the host: a model with its features. */
int migration_xml_cpu(const char *xml, char **ret, bool *custom, struct error *err);
/* The first channel to the agent that QEMU itself is, the caller's; NULL where there is none. */
int migration_xml_agent(const char *xml, char **ret, struct error *err);

/* Of what hugepages the memory is. */
struct migration_pages {
	unsigned int size; /* KiB; 0 for the host's own default */
	bool mixed;	   /* parts of the memory differ, and size is 0 */
};
int migration_xml_pages(const char *xml, struct migration_pages *ret, struct error *err);

#endif
