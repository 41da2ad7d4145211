/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps the tokens in memory as they are on the storage, and makes and revokes them. */
#ifndef OPS_TOKEN_KEEPER_H
#define OPS_TOKEN_KEEPER_H

#include "job/job.h"
#include "ops/request.h"
#include "state/config.h"
#include "state/tokens.h"
#include "work/requests.h"

struct token_keeper;

/* Reads them at once, and with each collection, each 15 s at least; changed(arg) is called after
 * each change that it has made. All are borrowed and outlive it. */
struct token_keeper *token_keeper_new(struct event_base *base, const struct config *config,
    struct jobs *jobs, struct tokens *tokens, void (*changed)(void *arg), void *arg);
/* After jobs_free; answers those who still wait. */
void token_keeper_free(struct token_keeper *keeper);
/* The period may have changed. */
void token_keeper_reload(struct token_keeper *keeper);
/* Another host has changed something: reads them, in a moment, as more may come. */
void token_keeper_told(struct token_keeper *keeper);

/* Borrowed. */
struct tokens *token_keeper_tokens(struct token_keeper *keeper);
/* Why they are not known, or not as they are by now; "" while they are. */
const char *token_keeper_why(const struct token_keeper *keeper);
/* What a user should know: that, or else what in their folder is none or cannot be read; "" for
 * nothing. */
const char *token_keeper_wrong(const struct token_keeper *keeper);
/* Why libvirt and QEMU may still take hosts that were put out; "" where they do not. */
const char *token_keeper_taken(const struct token_keeper *keeper);
/* Makes one (copied) as was asked for, and answers with it and its secret, or its certificate. */
void token_keeper_make(
    struct token_keeper *keeper, struct request *req, const struct token_options *options);
/* Revokes one: it is none any more, here at once and elsewhere with their next look. */
void token_keeper_revoke(struct token_keeper *keeper, struct request *req, const char *name);

/* What comes of token_keeper_put_out, with the request, which wants its reply now. err is NULL
 * where it is kept; with err the daemon may be about to stop. taken says why libvirt and QEMU still
 * take it, NULL where they do not. */
typedef void (*token_keeper_kept)(
    void *arg, struct request *req, const struct error *err, const char *taken);
/* Keeps for all hosts that this one was put out of the cluster, or is let in again. For a moment it
 * waits until the CA has taken back its certificates. */
void token_keeper_put_out(struct token_keeper *keeper, struct request *req, const char *host,
    bool out, token_keeper_kept kept, void *arg);
/* Whether a host is of the cluster still: 0, or -1 with a 403 where it was put out, or a 503 while
 * that is not known. */
int token_keeper_check_host(const struct token_keeper *keeper, const char *host, struct error *err);

#endif
