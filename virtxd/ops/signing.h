/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that wait for a job with the key of the cluster's CA. */
#ifndef OPS_SIGNING_H
#define OPS_SIGNING_H

#include "ops/context.h"
#include "work/requests.h"

/* What comes of it, with the request, which wants its reply now: result (borrowed), or NULL with
 * err. */
typedef void (*signing_done)(struct context *ctx, struct request *req,
    const struct cluster_sign_result *result, const struct error *err, void *arg);

/* What the requests of a host may ask for: beside these nothing. */
struct signing_names {
	const char *list;    /* names and IP literals, with commas between */
	const char *name;    /* its host name, and "" for none */
	const char *address; /* the one that it asks from, and "" for none */
};
/* Whether a request for a certificate does: 0, or -1 with a 400 or a 403. */
int signing_check_names(const struct signing_names *may, const char *request, struct error *err);

/* What is to be signed; all is borrowed for the call. */
struct signing_order {
	const char *uuid;		    /* of the host */
	const char *request, *qemu_request; /* "": it is only found out which CA it is */
	bool gives_ca_key;		    /* the host gets the CA's key as well */
	bool again;			    /* it was put out, and is let in again */
};
/*
 * Has certificates signed. The request is replied to by done, which runs once, and is told an error
 * where nothing can be begun (before this has returned), or virtxd stops.
 */
void signing_start(struct context *ctx, struct request *req, const struct signing_order *order,
    signing_done done, void *arg);
void signings_free(struct context *ctx);

#endif
