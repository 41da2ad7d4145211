/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server answers. It may be a proxy that does, or one that is none of the cluster's. */
#ifndef VIRTX_ANSWER_H
#define VIRTX_ANSWER_H

#include "proto/error.h"
#include "proto/routes.h"
#include "virtx/server.h"

#define CLIENT_ERROR_STATUS	  SERVER_ERROR_STATUS /* an answer that is none, a bad file */
#define CLIENT_UNREACHABLE_STATUS SERVER_UNREACHABLE_STATUS
#define CLIENT_GOES_ON_STATUS	  -3 /* what was asked for has not ended in time */
#define CLIENT_FILE_STATUS	  -4 /* what the user has written is wrong */

struct answer {
	int status;
	char *location;	    /* NULL for none */
	char operation[37]; /* that a 202's location names, else "" */
	char *etag;	    /* NULL for none */
	char *type;	    /* its Content-Type, NULL for none */
	char *body;	    /* NUL-terminated, never NULL after success */
	size_t len;
	bool warned; /* there was a Warning */
};
void answer_clear(struct answer *answer);
#define _answer_ __attribute__((cleanup(answer_clear)))

/* Whether a Content-Type is the route's, with whatever parameters; none may be anything. */
bool answer_is_of_type(const char *text, enum route_id id);
/*
 * Whether the answer is a success of the route: its status is the one that is wanted, or another
 * that virtxd or a Go virtx has for the same. Sets the operation. Else the server's error, or what
 * the answer is instead.
 */
int answer_check(struct answer *answer, enum route_id id, int wanted, struct error *err);
/* Decodes the answer into reply, which is zero before; an empty answer is an error. */
int answer_decode(
    const struct answer *answer, const struct model *model, void *reply, struct error *err);

#endif
