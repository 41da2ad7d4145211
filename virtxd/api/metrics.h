/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /metrics: the figures of this daemon and of the cluster, as Prometheus reads them. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "ops/request.h"
#include "serf/gossip.h"

#define METRICS_CLASSES 6 /* of HTTP statuses, by their first digit */

/* What those above the api know. */
struct metrics_outside {
	unsigned int connections;
	uint64_t refused;
	/* By route_id, and ROUTE_N for no route; NULL for none. */
	const uint64_t (*requests)[METRICS_CLASSES];
	unsigned int peer_calls, peer_connections;
	uint64_t peer_started, peer_failed;
	uint64_t handshakes_failed; /* of TLS */
	/* Requests of those who are not known or may not, with the words of why; NULL for none. */
	const uint64_t *unauthorized;
	const char *const *unauthorized_words;
	unsigned int n_unauthorized;
	int64_t certificate_end; /* ms since the epoch, 0: there is none */
	struct gossip_stats gossip;
	unsigned int members; /* that serf knows */
};

struct context;
/* The whole text, with figures of each VM of this host where vms; the caller frees. only: of the
 * VMs with this custom field, and nothing of what was done on others; empty for all. */
char *metrics_format(struct context *ctx, const struct metrics_outside *outside,
    const struct custom_field *only, bool vms, size_t *len);

#endif
