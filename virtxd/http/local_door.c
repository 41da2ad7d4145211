/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/local_door.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/util.h"

#define WAITING_MAX 32 /* that have a stand-in at the gate */

/* An address that the kernel has chosen: a NUL and five digits. */
struct name {
	struct sockaddr_un sa;
	socklen_t len;
};

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	int client;
	int stand_in; /* our end of it */
	struct name name;
	struct local_peer peer;
};

struct local_door {
	int fd; /* borrowed */
	struct event *event;
	struct sockaddr_un gate;
	TAILQ_HEAD(, waiting) list;
	unsigned int n;
};

/* A socket by a name of the kernel's choice; -1 with errno. */
static int
open_named(struct name *ret)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ret->len = sizeof(ret->sa);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ret->sa, &ret->len) < 0)
		return -1;
	return steal_fd(&fd);
}

static void
waiting_free(struct local_door *door, struct waiting *w)
{
	TAILQ_REMOVE(&door->list, w, entry);
	door->n--;
	util_close(&w->client);
	util_close(&w->stand_in);
	free(w);
}

/* Puts a stand-in for the client (given away) to the gate. */
static int
let_in(struct local_door *door, int client)
{
	_close_ int owned = client, stand_in = -1;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct name name;
	struct waiting *w;

	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -1;
	stand_in = open_named(&name);
	if (stand_in < 0 ||
	    connect(stand_in, (struct sockaddr *)&door->gate, sizeof(door->gate)) < 0)
		return -1;
	w = xcalloc(1, sizeof(*w));
	w->client = steal_fd(&owned);
	w->stand_in = steal_fd(&stand_in);
	w->name = name;
	w->peer = (struct local_peer){ peer.pid, peer.uid, peer.gid };
	TAILQ_INSERT_TAIL(&door->list, w, entry);
	door->n++;
	return 0;
}

/* Where there are no more descriptors it pauses, as the socket stays readable; local_door_accept
 * ends that. */
static void
on_client(evutil_socket_t fd, short what, void *arg)
{
	static struct log_limit limit;
	struct local_door *door = arg;

	while (door->n < WAITING_MAX) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (client < 0 || let_in(door, client) < 0) {
			log_limited(&limit, 2, "http",
			    "cannot accept a connection of the UNIX socket: %s", strerror(errno));
			break;
		}
	}
	event_del(door->event);
}

struct local_door *
local_door_new(struct event_base *base, int fd, const char *gate)
{
	struct local_door *door = xcalloc(1, sizeof(*door));

	door->gate.sun_family = AF_UNIX;
	assert(strlen(gate) < sizeof(door->gate.sun_path));
	memcpy(door->gate.sun_path, gate, strlen(gate));
	door->fd = fd;
	TAILQ_INIT(&door->list);
	door->event = event_new(base, fd, EV_READ | EV_PERSIST, on_client, door);
	if (!door->event || event_add(door->event, NULL) < 0)
		abort();
	return door;
}

void
local_door_free(struct local_door *door)
{
	if (!door)
		return;
	while (!TAILQ_EMPTY(&door->list))
		waiting_free(door, TAILQ_FIRST(&door->list));
	event_free(door->event);
	free(door);
}

void
local_door_accept(struct local_door *door, bool on)
{
	if (on && door->n < WAITING_MAX)
		event_add(door->event, NULL);
	else
		event_del(door->event);
}

bool
local_door_pass(struct local_door *door, int fd, struct local_peer *ret)
{
	struct name name = { .len = sizeof(name.sa) };
	struct waiting *w;
	bool passed;

	if (getpeername(fd, (struct sockaddr *)&name.sa, &name.len) < 0)
		return false;
	TAILQ_FOREACH (w, &door->list, entry) {
		if (w->name.len == name.len && memcmp(&w->name.sa, &name.sa, name.len) == 0)
			break;
	}
	/* This process's user may come to the gate, too. */
	if (!w)
		return false;
	passed = dup3(w->client, fd, O_CLOEXEC) == fd;
	*ret = w->peer;
	waiting_free(door, w);
	local_door_accept(door, true);
	return passed;
}
