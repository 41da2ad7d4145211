/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections of a UNIX socket, for evhttp. It writes the peer's address as a text, and ends the
 * process where a client has given its own end a name that does not fit, so that it must not accept
 * them itself. It accepts a stand-in at a gate, whose descriptor then becomes the client's.
 */
#ifndef HTTP_LOCAL_DOOR_H
#define HTTP_LOCAL_DOOR_H

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct local_door;

/* Who is at the other end, as the kernel had it when the client connected. */
struct local_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* fd listens, and is borrowed. gate is the path of the socket where evhttp accepts; who may connect
 * there can keep the clients out, so it must be for this process's user alone. */
struct local_door *local_door_new(struct event_base *base, int fd, const char *gate);
/* Closes who has not come through yet. */
void local_door_free(struct local_door *door);
void local_door_accept(struct local_door *door, bool on);
/* fd, which evhttp has accepted at the gate, becomes the connection of the client that it stands in
 * for. Nothing may wait for fd in the loop meanwhile. False: it stands in for nobody. */
bool local_door_pass(struct local_door *door, int fd, struct local_peer *ret);

#endif
