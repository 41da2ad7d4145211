/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of connections share: one list for each state, each in the order in which
 * the connections entered it. */
#ifndef HTTP_CONNECTION_LIST_H
#define HTTP_CONNECTION_LIST_H

#include <sys/queue.h>
#include <uthash.h>

#include "http/connection_limits.h"
#include "http/local_door.h"
#include "state/address.h"

struct bufferevent;
struct ssl_st;
struct evbuffer_cb_entry;

#define UNSENT_MAX (256 << 20) /* bytes of replies: above it the next tick is not waited for */

enum state {
	STATE_FRESH,	 /* accepted in this round of the loop: evhttp has not let us see it yet */
	STATE_HANDSHAKE, /* of TLS */
	STATE_WAITING,	 /* for a whole request */
	STATE_BUSY,	 /* a handler has it */
	STATE_REPLYING,
	STATE_STREAMING, /* the reply goes on until its handler ends it */
	STATE_N,
};

TAILQ_HEAD(connection_list, connection);

/* The connections of one client. */
struct share {
	UT_hash_handle hh;
	uint8_t key[ADDRESS_SHARE_SIZE];
	unsigned int n;
	unsigned int n_handshakes; /* of these, not ended */
	size_t unsent;		   /* bytes of their replies */
};

struct connection {
	TAILQ_ENTRY(connection) entry;
	TAILQ_ENTRY(connection) send_entry; /* where sending */
	UT_hash_handle hh;
	struct connections *owner;
	enum connection_kind kind;
	struct local_peer peer; /* of CONNECTION_LOCAL, once it is not fresh any more */
	enum state state;
	struct bufferevent *bev;	 /* a reference is held while fresh */
	struct ssl_st *ssl;		 /* the bufferevent's; NULL where it is not TLS */
	struct evhttp_connection *evcon; /* the key in by_evcon; NULL while fresh */
	/* Wants to read, too, from the request to its reply, so that the kernel need not hear of it
	 * when evhttp stops reading for the one and starts again for the other. NULL while fresh */
	struct event *hold;
	struct evbuffer_cb_entry *input_cb;
	struct evbuffer_cb_entry *output_cb;
	struct share *share; /* NULL while fresh, and where there was no room for it */
	bool sending;	     /* its reply goes out at the end of this round of the loop */
	bool watched;	     /* connection_watch has lowered how much is read ahead */
	bool lingering;	     /* its client may still be sending when it is closed */
	bool error_page;     /* evhttp has put its own error page into the output */
	int64_t since;	     /* ms, of the state */
	int64_t deadline;
	int64_t progress; /* when it last took something of its reply, as the tick saw it */
	size_t unsent;	  /* bytes then */
	size_t received;  /* bytes since it waits */
	void (*gone)(void *arg);
	void *gone_arg;
};

/* The argument of evhttp's callback for one that it accepts. */
struct connections_door {
	struct connections *owner;
	enum connection_kind kind;
};

struct connections {
	void (*handshake_ended)(struct connections *connections);
	struct event_base *base;
	struct connections_door doors[CONNECTION_KINDS];
	struct tls *tls;	  /* borrowed; NULL where no listener wants it */
	struct local_door *local; /* borrowed; NULL where there is no UNIX socket */
	struct connections_limits limits;
	struct connection_list lists[STATE_N];
	struct connection *by_evcon;
	struct share *shares;
	struct connection_list sending; /* by send_entry */
	struct timer *sender;
	struct timer *deferred; /* what must not be done inside evhttp's callbacks */
	struct timer *tick;
	struct timer *crowd; /* of handshakes: until room is made among them */
	bool resting;	     /* the tick is a slow one: there was no connection */
	struct lingering_closes *lingering;
	connections_accepting accepting;
	void *accepting_arg;
	unsigned int n;	      /* that have a share */
	unsigned int n_fresh; /* accepted in this round of the loop, with those given up */
	unsigned int handshakes_max;
	unsigned int n_handshakes;
	unsigned int n_beginning; /* of those fresh, that are going to begin one */
	unsigned int n_error_pages;
	size_t unsent;	       /* bytes of replies of all connections */
	size_t highest;	       /* of unsent, since memory was given back */
	int64_t give_back_due; /* monotonic ms */
	uint64_t n_refused;
	uint64_t n_handshakes_failed;
};

/* One that evhttp is just accepting. bev is borrowed, but for a reference while it is fresh. */
struct connection *connection_new(
    struct connections *owner, enum connection_kind kind, struct bufferevent *bev);
void connection_free(struct connection *c);
/* evhttp is done with accepting it, and is the argument of the bufferevent's callbacks now; no
 * input was looked at yet. False: evhttp gave it up, and it is freed. */
bool connection_adopt(struct connection *c);
/* Writes what is sending, one reply after the other: a client with many connections is woken once.
 * arg are the connections. */
void connections_send(void *arg);
/* For a request. */
void connection_wait(struct connection *c);
/* Closes it with a last word, where that fits into the socket. headers end in a line end each. */
void connection_turn_away(
    struct connection *c, int status, const char *headers, const char *detail);
/* Closes one that waits, or that does not take its reply. */
void connection_evict(struct connection *c);
/* Puts ours in the place of evhttp's error page: that is HTML and cannot be changed, but nothing of
 * it was sent yet. evhttp closes the connection after it. */
void connection_replace_page(struct connection *c);
/* Nothing of its client's handshake has come, or not the whole beginning. */
bool connection_is_silent(const struct connection *c);
/* The client that it is one of. */
void connection_set_share(struct connection *c, struct share *share);
/* The bytes that it holds. */
size_t connection_buffered(const struct connection *c);
/* For how long it has been there for nothing but its client's being slow or silent, ms. */
int64_t connection_stuck_ms(const struct connection *c, int64_t now);
/* Was it given time enough? To be asked once a tick. */
bool connection_is_overdue(struct connection *c, int64_t now);

#endif
