/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The figures of GET /metrics about this host, its storage and its VMs. */
#ifndef API_METRICS_HOST_H
#define API_METRICS_HOST_H

#include "proto/util.h"

struct context;
struct custom_field;
struct inventory;

/* What this host has and what of it is left; nothing before libvirt has told it. */
void metrics_add_host(struct context *ctx, struct buffer *out);
/* Each VM of this host, or each with this custom field where one is named. */
void metrics_add_vms(
    struct inventory *inventory, const struct custom_field *only, struct buffer *out);

#endif
