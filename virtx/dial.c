/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "proto/util.h"

/* evhttp 2.1 knows TCP alone. It begins to connect to a port of loopback that is held here, so that
 * nobody listens there, and gets the UNIX socket before it learns how that went. */
static int
hold_port(int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0 || bind(*ret_fd, (struct sockaddr *)&in, len) < 0 ||
	    getsockname(*ret_fd, (struct sockaddr *)&in, &len) < 0)
		return -errno;
	*ret_port = ntohs(in.sin_port);
	return 0;
}

int
dial_open(
    struct dial *dial, struct event_base *base, const struct server *server, const char *address)
{
	uint16_t port = server->port;
	int rc = 0;

	*dial = (struct dial){ .socket = -1, .held = -1 };
	if (server->socket) {
		dial->socket = server_open_socket(server->socket);
		rc = dial->socket < 0 ? dial->socket : hold_port(&dial->held, &port);
	}
	if (rc < 0)
		return rc;
	dial->connection = evhttp_connection_base_new(base, NULL, address, port);
	if (!dial->connection)
		abort();
	return 0;
}

void
dial_begun(struct dial *dial)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(dial->connection);
	int fd = bufferevent_getfd(bev);

	if (dial->socket < 0)
		return;
	bufferevent_setfd(bev, steal_fd(&dial->socket));
	if (fd >= 0)
		close(fd);
}

void
dial_close(struct dial *dial)
{
	if (dial->connection)
		evhttp_connection_free(dial->connection);
	if (dial->socket >= 0)
		close(dial->socket);
	if (dial->held >= 0)
		close(dial->held);
}
