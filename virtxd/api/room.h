/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room on another host for a VM that this one sends there. The other host has the last word: it
 * alone knows of all VMs that are on their way to it. What it has agreed to is renewed as long as
 * the room is there; what is not renewed it forgets by itself, and when the VM has come it has no
 * more need of it.
 */
#ifndef API_ROOM_H
#define API_ROOM_H

#include "proto/error.h"
#include "proto/model.h"

struct api;
struct room;

#define ROOM_RENEW_MS 20000

/* All is copied. */
struct room_need {
	const char *host;
	const char *vm;
	const char *operation; /* that moves it */
	const char *user;
	const struct vmdef *def;
	bool chosen; /* the host was, by placement */
};
/* err is NULL where there is room, or the host is one that does not know of this. */
typedef void (*room_answered)(void *arg, const struct error *err);

/* Asks for it; answered runs once, not before this has returned. With an err the room is gone. */
struct room *room_ask(
    struct api *api, const struct room_need *need, room_answered answered, void *arg);
/* It is given up, and the other host told so (tell), or left to it: the VM is there, or may yet
 * come. answered does not run any more. NULL is fine. */
void room_end(struct room *room, bool tell);

/* virtxd stops. After peers_free. */
void rooms_free(struct api *api);

#endif
