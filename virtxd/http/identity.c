/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/identity.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/connection.h"

const char *const identity_refusal_words[REFUSALS] = { "missing", "wrong", "role" };

/* The secret of `Bearer SECRET`; NULL where it is of another kind. */
static const char *
bearer(const char *authorization)
{
	static const char scheme[] = "Bearer ";

	if (strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return NULL;
	authorization += strlen(scheme);
	return authorization + strspn(authorization, " ");
}

static int
find_token(const struct tokens *tokens, const char *secret, struct identity *ret, struct error *err)
{
	const struct token *token = NULL;

	switch (tokens ? tokens_find(tokens, secret, &token) : TOKEN_UNREAD) {
	case TOKEN_GOOD:
		ret->role = token->role;
		snprintf(ret->user, sizeof(ret->user), "token:%s", token->name);
		return 0;
	case TOKEN_EXPIRED:
		return error_set_type(err, ERROR_WHO, "the token '%s' has expired", token->name);
	case TOKEN_WRONG:
		return error_set_type(
		    err, ERROR_WHO, "no token has this secret: it is wrong, or was revoked");
	case TOKEN_UNREAD:
	default:
		return error_set(err, 503,
		    "who asks cannot be told: the tokens have not been read from the storage yet");
	}
}

int
identity_find(const struct connection *connection, const struct headers *h,
    const struct tokens *tokens, struct identity *ret, enum identity_refusal *ret_why,
    struct error *err)
{
	const char *secret = h->authorization ? bearer(h->authorization) : NULL;
	char host[UUID_TEXT_SIZE];

	*ret = (struct identity){ 0 };
	*ret_why = REFUSAL_WRONG;
	if (h->n_authorization > 1)
		return error_set(err, 400, "there are several Authorization headers");
	if (secret)
		return find_token(tokens, secret, ret, err);
	if (h->authorization)
		return error_set_type(
		    err, ERROR_WHO, "Authorization: only 'Bearer SECRET' is known, of a token");
	if (connection_host(connection, host)) {
		ret->role = ROLE_HOST;
		ret->host = true;
		snprintf(ret->user, sizeof(ret->user), "host:%s", host);
		return 0;
	}
	*ret_why = REFUSAL_MISSING;
	return error_set_type(err, ERROR_WHO,
	    "who asks is not known: the request needs a header 'Authorization: Bearer SECRET'");
}

int
identity_check_role(const struct identity *identity, const struct route *route, struct error *err)
{
	if (identity->role >= route->role)
		return 0;
	if (route->role == ROLE_HOST)
		return error_set_type(err, ERROR_ROLE,
		    "only hosts of the cluster may ask for this, which show their certificate: "
		    "'%s' is none",
		    identity->user);
	return error_set_type(err, ERROR_ROLE, "this needs the role '%s', and '%s' has '%s'",
	    role_name(route->role), identity->user, role_name(identity->role));
}
