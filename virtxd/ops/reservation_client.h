/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room on another host for a VM that this one sends there. The other host has the last word: it
 * alone knows of all VMs that are on their way to it. What it has agreed to is renewed as long as
 * the room is there; what is not renewed it forgets by itself, and when the VM has come it has no
 * more need of it.
 *
 *   unasked  -> asking     the host is asked for the first time
 *   unasked  -> held       it cannot be asked, or knows nothing of this: that is its answer
 *   unasked  -> ended      given up before it was asked
 *   asking   -> held       it has answered
 *   asking   -> ending     given up while it is asked, which first has to be answered
 *   held     -> renewing   it is asked again
 *   held     -> ended      given up, which the host is told
 *   renewing -> held       it has answered
 *   renewing -> ending     given up while it is asked
 *   ending   -> ended      it has answered, and is told
 *
 * The end may come in any of these states.
 */
#ifndef OPS_RESERVATION_CLIENT_H
#define OPS_RESERVATION_CLIENT_H

#include "proto/error.h"
#include "proto/model.h"

struct context;
struct reservation_client;

#define RESERVATION_RENEW_MS 20000

/* All is copied. */
struct reservation_client_need {
	const char *host;
	const char *vm;
	const char *operation; /* that moves it */
	const char *user;
	const struct vmdef *def;
	bool chosen; /* the host was, by placement */
};
/* err is NULL where there is room, or the host is one that does not know of this. */
typedef void (*reservation_client_answered)(void *arg, const struct error *err);

/* Asks for it; answered runs once, not before this has returned. With an err the room is gone. */
struct reservation_client *reservation_client_ask(struct context *ctx,
    const struct reservation_client_need *need, reservation_client_answered answered, void *arg);
/* It is given up, and the other host told so (tell), or left to it: the VM is there, or may yet
 * come. answered does not run any more. NULL is fine. */
void reservation_client_end(struct reservation_client *client, bool tell);

/* virtxd stops. After peers_free. */
void reservation_clients_free(struct context *ctx);

#endif
