/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How this host is. */
#ifndef API_HEALTH_H
#define API_HEALTH_H

#include "proto/model.h"

struct context;

/* All that /readyz says; the caller clears ret. */
void health_find(struct context *ctx, struct ready *ret);

#endif
