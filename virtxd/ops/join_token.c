/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/join_token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "ops/context.h"
#include "ops/joining.h"
#include "ops/signing.h"
#include "proto/log.h"
#include "proto/token_secret.h"
#include "state/caller.h"
#include "state/joins.h"

enum state {
	STATE_BEGUN,
	STATE_LOOKING, /* which CA it is */
	STATE_ENDED,
	STATE_N,
};

static const char *const state_names[STATE_N] = { "begun", "looking", "ended" };

/* As in the header. */
static const unsigned int transitions[STATE_N] = {
	[STATE_BEGUN] = 1 << STATE_LOOKING | 1 << STATE_ENDED,
	[STATE_LOOKING] = 1 << STATE_ENDED,
};

struct making {
	struct context *ctx;
	enum state state;
	struct request *req;
	join_token_done done;
	int64_t lifetime;	   /* s */
	char host[UUID_TEXT_SIZE]; /* "" for any */
	bool gives_ca;		   /* who joins by it may have the CA's key */
};

static void
set_state(struct making *making, enum state state)
{
	assert(transitions[making->state] & 1U << state);
	log_debug("ops", "a token by which a host may join, as '%s' has asked: %s, then %s",
	    making->req->user, state_names[making->state], state_names[state]);
	making->state = state;
}

static void
end(struct making *making, const struct cluster_token *token, const struct error *err)
{
	set_state(making, STATE_ENDED);
	making->done(making->req, token, err);
	free(making);
}

/* The token's secret exists only once all else is known. */
static void
on_found(struct context *ctx, struct request *req, const struct cluster_sign_result *result,
    const struct error *cause, void *arg)
{
	struct making *making = arg;
	struct join_terms terms = { .host = making->host, .gives_ca = making->gives_ca };
	char secret[TOKEN_SECRET_SIZE];
	struct cluster_token token = { 0 };
	struct error err = { 0 };

	if (!result) {
		end(making, NULL, cause);
		return;
	}
	token_secret_make(secret);
	token.expires = terms.expires = now_ms() + making->lifetime * 1000;
	if (joining_own_address(ctx, true, &token.addresses, &err) < 0 ||
	    joins_add(ctx->joins, secret, &terms, &err) < 0) {
		end(making, NULL, &err);
	} else {
		token.fingerprint = xstrdup(result->fingerprint);
		token.secret = xstrdup(secret);
		log_info("api", "a token by which a host may join%s was made by %s",
		    terms.gives_ca ? ", and have the CA's key," : "", req->user);
		end(making, &token, NULL);
		explicit_bzero(token.secret, strlen(token.secret));
	}
	explicit_bzero(secret, sizeof(secret));
	model_clear(&cluster_token_model, &token);
}

/* Root on this host, whom the kernel has named, can read the CA's key anyway. Any other admin may
 * have certificates made, which can be revoked; what is signed by that key elsewhere cannot be. */
static int
check_gives_ca(const struct request *req, struct error *err)
{
	if (strcmp(req->client, CALLER_UNIX) == 0 && strcmp(req->user, CALLER_ROOT) == 0)
		return 0;
	return error_set_type(err, ERROR_ROLE,
	    "a token by which a host gets the CA's key is made by root on a host that has it, by "
	    "its UNIX socket, and not by '%s' at %s",
	    req->user, req->client);
}

static int
check(struct making *making, const struct cluster_token_options *options, struct error *err)
{
	const struct context *ctx = making->ctx;

	if (making->gives_ca && check_gives_ca(making->req, err) < 0)
		return -1;
	if (making->gives_ca && str_empty(ctx->config->tls_ca_key))
		return error_set_type(
		    err, ERROR_NOT_SUPPORTED, "this host does not have the key of the CA itself");
	if (options->lifetime < 0 || options->lifetime > CLUSTER_LIFETIME_MAX)
		return error_set_type(err, ERROR_INVALID,
		    "lifetime: %lld is not from 0 to %lld seconds", (long long)options->lifetime,
		    (long long)CLUSTER_LIFETIME_MAX);
	if (!str_empty(options->host) && uuid_normalize(options->host, making->host) < 0)
		return error_set_type(err, ERROR_INVALID, "host: is not the UUID of a host");
	if (!ctx->joins)
		return error_set_type(err, ERROR_NOT_SUPPORTED, "no host joins by this one");
	making->lifetime = options->lifetime ? options->lifetime : CLUSTER_LIFETIME;
	return 0;
}

void
join_token_start(struct context *ctx, struct request *req,
    const struct cluster_token_options *options, bool gives_ca, join_token_done done)
{
	static const struct signing_order which_ca = { "", "", "", false, false };
	struct making *making = xcalloc(1, sizeof(*making));
	struct error err = { 0 };

	*making = (struct making){ .ctx = ctx, .req = req, .done = done, .gives_ca = gives_ca };
	if (check(making, options, &err) < 0) {
		end(making, NULL, &err);
		return;
	}
	set_state(making, STATE_LOOKING);
	signing_start(ctx, req, &which_ca, on_found, making);
}
