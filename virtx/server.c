/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/server.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/util.h>

#include "proto/certificate.h"
#include "proto/routes.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define PREFIX_MAX	255 /* bytes */

void
server_clear(struct server *server)
{
	free(steal_ptr(server->host));
	free(steal_ptr(server->socket));
	free(steal_ptr(server->prefix));
	free(steal_ptr(server->ca));
	free(steal_ptr(server->ca_text));
	free(steal_ptr(server->certificate));
	free(steal_ptr(server->key));
}

/* A decimal port of 1..65535, or -1. */
static int
parse_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	long port;

	if (len == 0 || len > 5 || text[len])
		return -1;
	port = strtol(text, NULL, 10);
	return port >= 1 && port <= UINT16_MAX ? (int)port : -1;
}

static int
parse_socket(const char *text, struct server *ret, struct error *err)
{
	const char *path = text + 5;
	struct sockaddr_un sa;

	if (strncmp(path, "///", 3) == 0)
		path += 2;
	if (path[0] != '/' || path[1] == '/' || strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, SERVER_ERROR_STATUS,
		    "server '%s': must be unix: and a path of at most %zu bytes", text,
		    sizeof(sa.sun_path) - 1);
	str_set(&ret->socket, path);
	str_set(&ret->host, "localhost");
	free(steal_ptr(ret->prefix));
	ret->said = SERVER_SCHEME;
	ret->tls = false;
	ret->port = SERVER_PORT;
	return 0;
}

/* Takes the path of a URL off its end: "/virtx" or "/virtx/"; none is NULL, as "/" is. Its segments
 * are of such characters as mean nothing in a request line, and lead to where they say. */
static int
take_prefix(char *host, char **ret, struct error *err)
{
	char *path = strchr(host, '/');
	size_t len = path ? strlen(path) : 0;

	*ret = NULL;
	if (!path)
		return 0;
	if (path[len - 1] == '/')
		path[--len] = '\0';
	for (const char *segment = path; *segment;) {
		size_t n = strcspn(++segment, "/");

		if (n == 0 || strspn(segment, NAME_CHARACTERS "~") != n ||
		    strspn(segment, ".") == n || len > PREFIX_MAX)
			return error_set(err, SERVER_ERROR_STATUS,
			    "'%s' cannot stand before the paths of virtxd", path);
		segment += n;
	}
	if (len > 0)
		*ret = xstrdup(path);
	*path = '\0';
	return 0;
}

int
server_parse(const char *text, struct server *ret, struct error *err)
{
	static const char allowed[] = NAME_CHARACTERS ":%";
	_free_ char *copy = NULL, *prefix = NULL;
	char *host, *port = NULL, *end;
	int number = SERVER_PORT;
	bool tls;

	if (!strncasecmp(text, "unix:", 5))
		return parse_socket(text, ret, err);
	tls = !strncasecmp(text, "https://", 8);
	copy = xstrdup(tls ? text + 8 : !strncasecmp(text, "http://", 7) ? text + 7 : text);
	host = copy;
	if (strchr(host, '/') && !strstr(text, "://"))
		return error_set(err, SERVER_ERROR_STATUS,
		    "server '%s': must be HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT, "
		    "and only behind such a URL may be a path",
		    text);
	if (take_prefix(host, &prefix, err) < 0)
		return error_wrap(err, "server '%s'", text);

	if (host[0] == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':') || !memchr(host, ':', end - host))
			return error_set(err, SERVER_ERROR_STATUS,
			    "server '%s': no IPv6 address in the brackets", text);
		port = end[1] ? end + 2 : NULL;
		*end = '\0';
	} else if ((end = strchr(host, ':')) && end == strrchr(host, ':')) {
		port = end + 1;
		*end = '\0';
	}
	if (port && (number = parse_port(port)) < 0)
		return error_set(err, SERVER_ERROR_STATUS,
		    "server '%s': port '%s' is no number from 1 to 65535", text, port);
	if (!host[0] || strlen(host) > 255 || host[strspn(host, allowed)])
		return error_set(
		    err, SERVER_ERROR_STATUS, "server '%s': no host name or address", text);
	str_set(&ret->host, host);
	free(ret->prefix);
	ret->prefix = steal_ptr(prefix);
	free(steal_ptr(ret->socket));
	ret->said = strstr(text, "://") ? SERVER_SCHEME : SERVER_BARE;
	ret->tls = tls;
	ret->port = (uint16_t)number;
	return 0;
}

/* What is behind http://HOST or http://HOST:PORT of the server; all of it where it does not begin
 * so. A proxy cannot know by which port it was reached. */
static const char *
skip_origin(const struct server *server, const char *location)
{
	bool ipv6 = strchr(server->host, ':') != NULL;
	const char *text = location, *scheme = strstr(text, "://");
	_free_ char *host = xasprintf("%s%s%s", ipv6 ? "[" : "", server->host, ipv6 ? "]" : "");

	if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
		return location;
	text = scheme + 3;
	if (strncasecmp(text, host, strlen(host)) != 0)
		return location;
	text += strlen(host);
	if (*text == ':')
		text += 1 + strspn(text + 1, "0123456789");
	return *text == '/' ? text : location;
}

const char *
server_own_path(const struct server *server, const char *location)
{
	const char *path = skip_origin(server, location);
	size_t len = strlen(str_or_empty(server->prefix));

	if (len > 0 && strncmp(path, server->prefix, len) == 0 && path[len] == '/')
		return path + len;
	return path;
}

int
server_open_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Whether there is a virtxd here that lets this user in. */
static bool
has_socket(void)
{
	_close_ int fd = server_open_socket(API_SOCKET);

	return fd >= 0;
}

int
server_here(struct server *ret, struct error *err)
{
	if (has_socket())
		return server_parse("unix:" API_SOCKET, ret, err);
	if (server_parse("localhost", ret, err) < 0)
		return -1;
	ret->said = SERVER_UNSAID;
	return 0;
}

int
server_take_secret(struct server *server, bool *ret_sent, struct error *err)
{
	*ret_sent = !server->socket;
	if (server->socket)
		return 0;
	/* While virtxd does not run, its port is anybody's. */
	if (server->said == SERVER_UNSAID)
		return error_set(err, SERVER_ERROR_STATUS,
		    "there is a token, and no server to send it to: '%s' cannot be opened; name "
		    "one by -A, VIRTX_API_SERVER or a context",
		    API_SOCKET);
	if (server->said == SERVER_BARE)
		server->tls = true;
	return 0;
}

void
server_set_ca(struct server *server, const char *given)
{
	if (!given && access(CERTIFICATE_CA, R_OK) == 0)
		given = CERTIFICATE_CA;
	free(steal_ptr(server->ca));
	if (given)
		str_set(&server->ca, given);
}

int
server_set_certificate(
    struct server *server, const char *certificate, const char *key, struct error *err)
{
	if (key && !certificate)
		return error_set(err, SERVER_ERROR_STATUS,
		    "there is the key '%s', and no certificate that it is of", key);
	if (!certificate || server->socket)
		return 0;
	if (server->said == SERVER_UNSAID)
		return error_set(err, SERVER_ERROR_STATUS,
		    "there is a certificate, and no server to show it to: '%s' cannot be opened; "
		    "name one by -A, VIRTX_API_SERVER or a context",
		    API_SOCKET);
	if (server->said == SERVER_BARE)
		server->tls = true;
	if (!server->tls)
		return error_set(err, SERVER_ERROR_STATUS,
		    "by http:// no certificate can be shown to '%s': https:// is needed",
		    server->host);
	str_set(&server->certificate, certificate);
	str_set(&server->key, key ? key : certificate);
	return 0;
}

int
server_resolve(const struct server *server, char *addresses[SERVER_ADDRESSES_MAX], size_t *n,
    struct error *err)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct evutil_addrinfo *found = NULL;
	char text[NI_MAXHOST];
	int rc;

	*n = 0;
	if (server->socket) {
		addresses[(*n)++] = xstrdup("127.0.0.1");
		return 0;
	}
	/* virtxd listens there by default, whatever the name service makes of the name. */
	if (!strcasecmp(server->host, "localhost")) {
		addresses[(*n)++] = xstrdup("127.0.0.1");
		addresses[(*n)++] = xstrdup("::1");
		return 0;
	}
	rc = evutil_getaddrinfo(server->host, NULL, &hints, &found);
	if (rc)
		return error_set(err, SERVER_UNREACHABLE_STATUS, "cannot resolve '%s': %s",
		    server->host, evutil_gai_strerror(rc));
	for (struct evutil_addrinfo *ai = found; ai && *n < SERVER_ADDRESSES_MAX; ai = ai->ai_next)
		if (!getnameinfo(
			ai->ai_addr, ai->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
			addresses[(*n)++] = xstrdup(text);
	evutil_freeaddrinfo(found);
	if (*n == 0)
		return error_set(
		    err, SERVER_UNREACHABLE_STATUS, "'%s' has no address", server->host);
	return 0;
}
