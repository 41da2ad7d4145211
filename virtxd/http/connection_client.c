/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connection. */
#include "http/connection.h"
#include "http/connection_list.h"
#include "http/tls.h"

const struct local_peer *
connection_local_peer(const struct connection *c)
{
	return c->kind == CONNECTION_LOCAL ? &c->peer : NULL;
}

bool
connection_wants_identity(const struct connection *c)
{
	return c->kind == CONNECTION_PLAIN_AUTH || c->kind == CONNECTION_TLS_AUTH;
}

bool
connection_host(const struct connection *c, char ret[UUID_TEXT_SIZE])
{
	return c->ssl && tls_client_host(c->owner->tls, c->ssl, ret);
}

bool
connection_user(
    const struct connection *c, char name[TOKEN_NAME_MAX + 1], char print[CERTIFICATE_PRINT_SIZE])
{
	return c->ssl && tls_client_user(c->owner->tls, c->ssl, name, print);
}

char *
connection_names(const struct connection *c)
{
	return c->ssl ? tls_client_names(c->ssl) : xstrdup("");
}

int64_t
connection_begin(const struct connection *c)
{
	return c->ssl ? tls_client_begin(c->ssl) : 0;
}

bool
connection_is_before(const struct connection *c, const char *host, int again)
{
	return c->ssl && tls_client_is_before(c->ssl, host, again);
}
