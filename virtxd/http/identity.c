/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/connection.h"
#include "proto/text.h"
#include "state/joins.h"
#include "state/tokens.h"

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
not_read(struct error *err)
{
	return error_set(err, 503,
	    "who asks cannot be told: the tokens have not been read from the storage yet");
}

/* Who asks is who has this token, or the certificate of one. */
static void
take_token(const struct token *token, struct caller *ret)
{
	ret->by = token->certificate ? CALLER_CERTIFICATE : CALLER_TOKEN;
	ret->role = token->role;
	snprintf(ret->user, sizeof(ret->user), "%s%s",
	    token->certificate ? CALLER_CERTIFICATE_USER : CALLER_TOKEN_USER, token->name);
	ret->token_created = token->created;
	snprintf(ret->only_name, sizeof(ret->only_name), "%s", str_or_empty(token->only.name));
	snprintf(ret->only_value, sizeof(ret->only_value), "%s", str_or_empty(token->only.value));
}

static int
find_token(const struct tokens *tokens, const char *secret, struct caller *ret, struct error *err)
{
	const struct token *token = NULL;

	switch (tokens ? tokens_find(tokens, secret, &token) : TOKEN_UNREAD) {
	case TOKEN_GOOD:
		take_token(token, ret);
		return 0;
	case TOKEN_EXPIRED:
		return error_set_type(err, ERROR_WHO, "the token '%s' has expired", token->name);
	case TOKEN_WRONG:
		return error_set_type(
		    err, ERROR_WHO, "no token has this secret: it is wrong, or was revoked");
	case TOKEN_UNREAD:
	default:
		return not_read(err);
	}
}

/* A certificate whose CA answers for its name, and which is the one that was made for it. */
static int
find_user(const struct tokens *tokens, const char *name, const char *print, struct caller *ret,
    struct error *err)
{
	const struct token *token = NULL;

	switch (tokens ? tokens_find_certificate(tokens, print, &token) : TOKEN_UNREAD) {
	case TOKEN_GOOD:
		take_token(token, ret);
		return 0;
	case TOKEN_EXPIRED:
		return error_set_type(
		    err, ERROR_WHO, "the certificate of user '%s' has expired", name);
	case TOKEN_WRONG:
		return error_set_type(err, ERROR_WHO,
		    "the certificate of user '%s' is not known: it was revoked, or is not of "
		    "'virtx user certificate'",
		    name);
	case TOKEN_UNREAD:
	default:
		return not_read(err);
	}
}

/* 1 where it is the secret by which a host may join, 0 where it is of another kind, or -1. */
static int
find_join(const struct joins *joins, const char *secret, struct caller *ret, struct error *err)
{
	char id[JOIN_ID_SIZE];

	switch (joins ? joins_find(joins, secret, id) : JOIN_WRONG) {
	case JOIN_GOOD:
		ret->by = CALLER_TOKEN;
		ret->role = ROLE_JOIN;
		snprintf(ret->user, sizeof(ret->user), "join:%s", id);
		return 1;
	case JOIN_USED:
		return error_set_type(err, ERROR_WHO,
		    "a host has joined by this token already: each needs one of its own");
	case JOIN_EXPIRED:
		return error_set_type(err, ERROR_WHO, "the token to join by has expired");
	case JOIN_ENDED:
		return error_set_type(err, ERROR_WHO,
		    "the token to join by is from before a host was put out of the cluster, which "
		    "ends all of them: have another one made");
	case JOIN_WRONG:
	default:
		return 0;
	}
}

static int
find_secret(const struct guard *guard, const char *secret, struct caller *ret, struct error *err)
{
	int rc = find_join(guard->joins, secret, ret, err);

	if (rc != 0)
		return rc > 0 ? 0 : -1;
	return find_token(guard->tokens, secret, ret, err);
}

/* What was shown, where the listener wants something. */
static int
find_shown(const struct connection *connection, const struct guard *guard, const struct headers *h,
    struct identity *ret, enum identity_refusal *ret_why, struct error *err)
{
	const char *secret = h->authorization ? bearer(h->authorization) : NULL;
	char host[UUID_TEXT_SIZE], user[TOKEN_NAME_MAX + 1], print[CERTIFICATE_PRINT_SIZE];

	*ret_why = REFUSAL_WRONG;
	if (h->n_authorization > 1)
		return error_set(err, 400, "there are several Authorization headers");
	if (secret)
		return find_secret(guard, secret, &ret->caller, err);
	if (h->authorization)
		return error_set_type(
		    err, ERROR_WHO, "Authorization: only 'Bearer SECRET' is known, of a token");
	if (connection_host(connection, host)) {
		ret->host = true;
		ret->caller.by = CALLER_CERTIFICATE;
		ret->caller.role = ROLE_HOST;
		snprintf(ret->caller.user, sizeof(ret->caller.user), "host:%s", host);
		memcpy(ret->certificate, host, sizeof(host));
		return 0;
	}
	if (connection_user(connection, user, print))
		return find_user(guard->tokens, user, print, &ret->caller, err);
	*ret_why = REFUSAL_MISSING;
	return error_set_type(err, ERROR_WHO,
	    "who asks is not known: the request needs a header 'Authorization: Bearer SECRET', or "
	    "the certificate of a user");
}

/* Copies an entry of X-Forwarded-For; false where nothing is in it. */
static bool
copy_entry(char out[CALLER_USER_MAX + 1], const char *text, size_t len)
{
	char entry[CALLER_USER_MAX + 1];
	size_t n = 0;

	while (len > 0 && strchr(" \t", *text)) {
		text++;
		len--;
	}
	for (; len > 0 && n < CALLER_USER_MAX; text++, len--) {
		unsigned char c = (unsigned char)*text;

		entry[n++] = isalnum(c) || strchr(".:_-@[]%", c) ? (char)c : '?';
	}
	while (n > 0 && entry[n - 1] == '?')
		n--;
	entry[n] = '\0';
	if (n > 0)
		memcpy(out, entry, n + 1);
	return n > 0;
}

/* Where the last entry of the first end bytes begins. */
static size_t
last_entry(const char *list, size_t end)
{
	while (end > 0 && list[end - 1] != ',')
		end--;
	return end;
}

/* From where the request comes. Each proxy appends from where it was asked, so the last entry that
 * one appended who is not to be believed ends the way back. */
static void
find_from(const struct guard *guard, const struct headers *h, bool open, struct caller *caller)
{
	const char *list = str_or_empty(h->forwarded);
	size_t begin, end = strlen(list);

	while (end > 0 && (guard_is_proxy(guard, caller->from) ||
			      (open && guard_believes(guard, h, caller->from)))) {
		begin = last_entry(list, end);
		if (!copy_entry(caller->from, list + begin, end - begin))
			break;
		end = begin > 0 ? begin - 1 : 0;
	}
}

/* For whom a host asks, that has stated nothing more. */
static void
find_asked_for(const struct headers *h, struct caller *caller)
{
	const char *list = str_or_empty(h->forwarded);
	size_t end = strlen(list), begin = last_entry(list, end);

	copy_entry(caller->user, list + begin, end - begin);
}

/* Which of those that have had the name in their time it is. A host does not state it, and each has
 * all tokens. */
static void
find_created(const struct guard *guard, struct caller *caller)
{
	bool token = caller->by == CALLER_TOKEN || caller->by == CALLER_CERTIFICATE;
	const char *colon = strchr(caller->user, ':');

	if (token && colon && guard->tokens)
		caller->token_created = tokens_created(guard->tokens, colon + 1);
}

/*
 * What a host states counts: whoever it asks for is judged here once more. From anybody else it is
 * refused where it is known who that is. Where a listener is open it is passed over: what everybody
 * may do there, nobody gains by it.
 */
static int
take_stated(const struct guard *guard, const struct headers *h, bool open,
    struct identity *identity, enum identity_refusal *ret_why, struct error *err)
{
	struct caller stated;

	if (h->n_caller == 0)
		return 0;
	if (!identity->host && open)
		return 0;
	if (!identity->host) {
		*ret_why = REFUSAL_ROLE;
		return error_set_type(err, ERROR_ROLE,
		    IDENTITY_CALLER ": only hosts of the cluster may say for whom they ask, which "
				    "show their certificate: '%s' is none",
		    identity->caller.user);
	}
	if (h->n_caller > 1)
		return error_set(err, 400, "there are several " IDENTITY_CALLER " headers");
	if (caller_read(h->caller, &stated, err) < 0)
		return error_wrap(err, IDENTITY_CALLER);
	find_created(guard, &stated);
	identity->caller = stated;
	identity->judged = true;
	return 0;
}

/* Whether the listener lets everybody in. */
static bool
is_open(const struct connection *connection)
{
	return !connection_local_peer(connection) && !connection_wants_identity(connection);
}

/* Whether this is asked by hosts which have to be known, whatever the listener wants. A path has
 * many spellings, by percent-encoding, and the route is what all of them lead to. */
static bool
is_for_known_hosts(const char *path)
{
	const struct route *route;

	/* Without it a path has one spelling. */
	if (!strchr(path, '%'))
		return str_equal(path, routes[ROUTE_CLUSTER_JOIN].path) ||
		       str_equal(path, routes[ROUTE_CLUSTER_RENEW].path);
	return route_find(METHOD_POST, path, &route, NULL, 0, NULL) == ROUTE_FOUND &&
	       (route->id == ROUTE_CLUSTER_JOIN || route->id == ROUTE_CLUSTER_RENEW);
}

void
identity_begin(const struct connection *connection, const struct guard *guard,
    const struct headers *h, const char *client, const char *path, struct identity *ret)
{
	bool local = connection_local_peer(connection) != NULL;
	struct caller *caller = &ret->caller;

	*ret = (struct identity){ .judged = connection_wants_identity(connection) ||
					    (!local && is_for_known_hosts(path)) };
	text_copy(caller->from, sizeof(caller->from), client);
	if (!local)
		find_from(guard, h, is_open(connection) && !ret->judged, caller);
	text_copy(caller->user, sizeof(caller->user), caller->from);
}

int
identity_find(const struct connection *connection, const struct guard *guard,
    const struct headers *h, const char *client, struct identity *ret,
    enum identity_refusal *ret_why, struct error *err)
{
	const struct local_peer *local = connection_local_peer(connection);
	bool open = is_open(connection) && !ret->judged;
	struct caller *caller = &ret->caller;
	char host[UUID_TEXT_SIZE];

	*ret_why = REFUSAL_WRONG;
	if (ret->judged) {
		if (find_shown(connection, guard, h, ret, ret_why, err) < 0)
			return -1;
		if (ret->host)
			find_asked_for(h, caller);
		return take_stated(guard, h, open, ret, ret_why, err);
	}
	caller->role = ROLE_ADMIN;
	if (local) {
		caller->by = CALLER_SOCKET;
		snprintf(caller->user, sizeof(caller->user), "uid:%u", local->uid);
	} else {
		ret->host = connection_host(connection, host) ||
			    (h->looped && guard_is_member(guard, client));
	}
	return take_stated(guard, h, open, ret, ret_why, err);
}

int
identity_check_role(const struct identity *identity, const struct route *route, struct error *err)
{
	const struct caller *caller = &identity->caller;

	/* What is more than one VM's. */
	if (caller_is_limited(caller) && route->role >= ROLE_ADMIN)
		return error_set_type(err, ERROR_ROLE,
		    "'%s' is limited to VMs with the custom field '%s' of the value '%s', and this "
		    "concerns more than such a VM",
		    caller->user, caller->only_name, caller->only_value);
	if (role_may(caller->role, route->role))
		return 0;
	if (route->role == ROLE_HOST)
		return error_set_type(err, ERROR_ROLE,
		    "only hosts of the cluster may ask for this, which show their certificate: "
		    "'%s' is none",
		    identity->caller.user);
	return error_set_type(err, ERROR_ROLE, "this needs the role '%s', and '%s' has '%s'",
	    role_name(route->role), identity->caller.user, role_name(identity->caller.role));
}
