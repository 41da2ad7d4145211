/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of this layer share about struct domain_info. Private to the layer. */
#ifndef DOMAIN_DOMAIN_INFO_H
#define DOMAIN_DOMAIN_INFO_H

#include "domain/domain_xml.h"

/* Marks the domain as not ours; the first reason given stays. */
void domain_info_foreign(struct domain_info *info, const char *fmt, ...) PRINTF(2, 3);

#endif
