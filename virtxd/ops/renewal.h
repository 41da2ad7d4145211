/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts renew their certificates: root of a host asks its own virtxd, and that a host which has the
 * key of the CA, to which it shows the present one.
 *
 *   begun    -> signing    this host has the key, and a job signs
 *   begun    -> choosing   it has not, and root of this host asks
 *   begun    -> ended      who asks may not have what is asked for
 *   signing  -> ended      the job has signed, or it could not
 *   choosing -> asking     the next host is asked
 *   choosing -> ended      there is none left
 *   asking   -> choosing   it has not signed
 *   asking   -> ended      it has, or virtxd stops
 */
#ifndef OPS_RENEWAL_H
#define OPS_RENEWAL_H

#include "ops/request.h"
#include "proto/cluster.h"

struct context;

/* What comes of it, with the request, which wants its reply now: certificates (borrowed), or NULL
 * with err. */
typedef void (*renewal_done)(
    struct request *req, const struct cluster_certificates *certificates, const struct error *err);

/* Renews those of the host that has shown one, or of this host where root of it asks. renewal is
 * what the request's body says. done runs once, maybe before this has returned. */
void renewal_start(struct context *ctx, struct request *req, const struct cluster_renewal *renewal,
    renewal_done done);
/* virtxd stops: no host is waited for. After peers_free; jobs end with signings_free. */
void renewings_free(struct context *ctx);

#endif
