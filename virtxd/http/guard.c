/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/guard.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "state/address.h"
#include "state/tokens.h"

#define NAME_SIZE 256

/* The host of `HOST`, `HOST:PORT` or `[ADDR]:PORT`, without a dot or a zone at its end; false where
 * it is none of these. */
static bool
split_host(const char *text, char ret[NAME_SIZE], bool *ret_ipv6)
{
	const char *end;
	size_t len;

	*ret_ipv6 = *text == '[';
	text += *ret_ipv6;
	len = strcspn(text, *ret_ipv6 ? "]" : ":");
	end = text + len;
	if (*ret_ipv6 && *end++ != ']')
		return false;
	if (*end && (*end != ':' || end[1 + strspn(end + 1, "0123456789")]))
		return false;
	if (*ret_ipv6)
		len = strcspn(text, "%]");
	else if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len >= NAME_SIZE)
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

/* Whether a list of words with spaces between holds this one. */
static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (list += strspn(list, " "); *list; list += strspn(list, " ")) {
		size_t n = strcspn(list, " ");

		if (n == len && strncasecmp(list, word, n) == 0)
			return true;
		list += n;
	}
	return false;
}

static bool
is_own_name(const struct guard *guard, const char *name)
{
	char self[HOST_NAME_MAX + 1];

	if (strcasecmp(name, "localhost") == 0 || has_word(guard->config->host_names, name))
		return true;
	if (gethostname(self, sizeof(self)) == 0 && strcasecmp(name, self) == 0)
		return true;
	return guard->is_host && guard->is_host(guard->arg, name);
}

/* A name that leads here is anybody's to make, so it must be one that we know. */
static int
check_host(const struct guard *guard, const struct headers *h, struct error *err)
{
	struct in6_addr parsed;
	char name[NAME_SIZE];
	bool ipv6;

	if (h->n_host > 1)
		return error_set(err, 400, "there are several Host headers");
	/* A browser always has one. */
	if (str_empty(h->host))
		return 0;
	if (!split_host(h->host, name, &ipv6))
		return error_set(
		    err, 400, "Host '%.64s' is no host with or without a port", h->host);
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, name, &parsed) == 1 ||
	    (!ipv6 && is_own_name(guard, name)))
		return 0;
	return error_set(err, 421,
	    "Host '%.64s': neither an address nor 'localhost', nor the name of this host or of a "
	    "member of its cluster; 'host_names' of section [http] allows others",
	    name);
}

static int
check_origin(const struct guard *guard, const struct headers *h, struct error *err)
{
	static const char *const schemes[] = { "http://", "https://" };

	if (h->n_origin == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(schemes) && h->n_origin == 1 && h->host; i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(h->origin, schemes[i], len) == 0 &&
		    strcasecmp(h->origin + len, h->host) == 0)
			return 0;
	}
	if (h->n_origin == 1 && has_word(guard->config->allowed_origins, h->origin))
		return 0;
	return error_set(err, 403,
	    "a page of '%.64s' may ask nothing here; 'allowed_origins' of section [http] allows it",
	    h->origin);
}

int
guard_check_source(const struct guard *guard, const struct headers *h, struct error *err)
{
	if (check_host(guard, h, err) < 0)
		return -1;
	return check_origin(guard, h, err);
}

int
guard_check_body(const struct headers *h, struct error *err)
{
	static const char json[] = "application/json";
	const char *type = str_or_empty(h->type);

	if (h->n_type == 1 && strncasecmp(type, json, strlen(json)) == 0 &&
	    strchr("; \t", type[strlen(json)]))
		return 0;
	if (h->n_type == 0)
		return error_set(err, 415, "the body has no Content-Type, which must be %s", json);
	return error_set(err, 415, "Content-Type '%.64s': a body must be of type %s", type, json);
}

static enum guard_who
who_is(const struct guard *guard, const char *addr, const char **why)
{
	*why = "it is not asked";
	return guard->who ? guard->who(guard->arg, addr, why) : GUARD_UNKNOWN;
}

int
guard_check_client(
    const struct guard *guard, const struct route *route, const char *addr, struct error *err)
{
	const char *why;

	if (route->role != ROLE_HOST || address_is_loopback(addr) || address_is_own(addr))
		return 0;
	switch (who_is(guard, addr, &why)) {
	case GUARD_MEMBER:
		return 0;
	case GUARD_UNKNOWN:
		return error_set(err, 503,
		    "only hosts of the cluster may ask for this, and serf does not say now "
		    "whether '%s' is one: %s",
		    addr, why);
	case GUARD_STRANGER:
	default:
		return error_set_type(err, ERROR_NOT_A_MEMBER,
		    "only hosts of the cluster may ask for this: no active member has the address "
		    "'%s'",
		    addr);
	}
}

/*
 * The certificate of a host that was forgotten is good until it ends, and one that was made for no
 * host of this cluster is as good: only members count. One that has just joined may ask before serf
 * has told of it here. It is refused, too, as by its address on a listener that is open: it asks
 * again, and whoever else comes first gets nothing. What serf says is the word of whoever has its
 * key, as one that was put out still may.
 */
int
guard_check_host(const struct guard *guard, const char *host, struct error *err)
{
	const char *why = "it is not asked";

	if (guard->tokens && tokens_is_out(guard->tokens, host))
		return error_set_type(err, ERROR_NOT_A_MEMBER,
		    "host '%s' has a certificate, and was put out of the cluster", host);
	switch (guard->host ? guard->host(guard->arg, host, &why) : GUARD_UNKNOWN) {
	case GUARD_MEMBER:
		return 0;
	case GUARD_UNKNOWN:
		return error_set(err, 503,
		    "host '%s' is known by its certificate, and serf does not say now whether it "
		    "is one of the cluster: %s",
		    host, why);
	case GUARD_STRANGER:
	default:
		return error_set_type(err, ERROR_NOT_A_MEMBER,
		    "host '%s' has a certificate, but no member has this uuid, or it was forgotten",
		    host);
	}
}

bool
guard_is_member(const struct guard *guard, const char *addr)
{
	const char *why;

	return who_is(guard, addr, &why) == GUARD_MEMBER;
}

bool
guard_is_proxy(const struct guard *guard, const char *addr)
{
	return address_in_list(addr, guard->config->trusted_proxies);
}

bool
guard_believes(const struct guard *guard, const struct headers *h, const char *addr)
{
	return guard_is_proxy(guard, addr) || (h->looped && guard_is_member(guard, addr));
}
