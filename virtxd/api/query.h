/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list's filter, from the body and from the query string: ?name=web&runstate=running&limit=10. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "ops/request.h"
#include "state/filter.h"

/*
 * Reads the body into options (a model with one struct, "filter") and the query over it. A nested
 * field is named with dots ("cpudef.cores"); enumerations take words and numbers; name is exact,
 * and name_contains a part, as the body's name is. An unknown parameter, or a value that does not
 * fit, is a 400.
 */
int query_read(const struct request *req, const struct model *options, void *obj,
    struct list_page *page, struct error *err);

#endif
