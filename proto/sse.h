/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Server-sent events, put together from the bytes of a stream. */
#ifndef PROTO_SSE_H
#define PROTO_SSE_H

#include "proto/util.h"

#define SSE_EVENT_MAX (1 << 20) /* bytes of a line, and of an event's data */

struct sse_event {
	const char *id;	  /* the last that came, "" before the first */
	const char *type; /* "message" where it has none */
	const char *data;
};
/* Borrowed for the call; false stops the reading. */
typedef bool (*sse_got)(void *arg, const struct sse_event *event);

/* Zero-initialise it; sse_clear ends it. */
struct sse {
	struct buffer line;
	struct buffer data;
	char *type;
	char *id; /* survives sse_restart, to go on with */
};

/* Takes in what came; false when got wanted no more, or when it is no stream of events. */
bool sse_feed(struct sse *sse, const char *data, size_t len, sse_got got, void *arg);
/* For a new connection: what came in part is dropped. */
void sse_restart(struct sse *sse);
void sse_clear(struct sse *sse);

#endif
