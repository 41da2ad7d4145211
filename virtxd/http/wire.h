/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to other hosts, each for one request at a time, and kept for a while after it. */
#ifndef HTTP_WIRE_H
#define HTTP_WIRE_H

#include <event2/http.h>

#include "proto/util.h"

struct event_base;
struct wire;
struct wires;

struct wires *wires_new(struct event_base *base);
/* Where new connections shall come from, "" for where the kernel likes. */
void wires_set_source(struct wires *wires, const char *addr);
/* All must have been given back. */
void wires_free(struct wires *wires);
void wires_get_counts(const struct wires *wires, unsigned int *open, unsigned int *idle);

struct wire_ops {
	/* A new connection does not stand in time. */
	void (*late)(struct wire *wire, void *call);
	/* More has come in than is held of one answer, or of all from this address. */
	void (*flood)(struct wire *wire, void *call);
};

/* A kept connection to this address, or (always where fresh) a new one, which has connect_ms to
 * stand. ops is borrowed. */
struct wire *wire_get(struct wires *wires, const char *addr, uint16_t port, bool fresh,
    int connect_ms, const struct wire_ops *ops, void *call);
/* Sends a request (given away) whose callbacks have the wire as argument; -1 with errno. */
int wire_send(struct wire *wire, struct evhttp_request *http, enum evhttp_cmd_type type,
    const char *path, size_t answer_max);
/* Bytes of the answer's body from here on. */
void wire_limit(struct wire *wire, size_t answer_max);
/* Bytes of the answer that its owner has taken, and keeps until it is whole. */
void wire_hold(struct wire *wire, size_t len);
/* evhttp's request is done with: for its last callback. */
void wire_answered(struct wire *wire);
/* Whether something came behind the answer. */
bool wire_has_more(const struct wire *wire);
/* Whose it is; NULL once it was given back, and while wire_send() is under way, which then tells of
 * the failure itself: evhttp's callbacks are of no concern then. */
void *wire_call(const struct wire *wire);
/* It has carried a request before this one. */
bool wire_was_used(const struct wire *wire);
bool wire_is_connected(const struct wire *wire);
/* Why it could not be connected. */
int wire_errno(const struct wire *wire);
/* Switches reading on or off. */
void wire_read(struct wire *wire, bool on);
/* Give it back: to be kept, or to be closed. Both may be called in evhttp's callbacks. */
void wire_done(struct wire *wire);
void wire_drop(struct wire *wire);

#endif
