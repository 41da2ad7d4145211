/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The streams of GET /events. */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "ops/request.h"
#include "state/events.h"

struct event_base;
struct event_streams;
struct tokens;

#define EVENT_STREAMS_MAX 256

/* Both are borrowed and outlive the streams. */
struct event_streams *event_streams_new(struct event_base *base, struct events *events);
/* After the HTTP server, which ends the streams. */
void event_streams_free(struct event_streams *streams);
unsigned int event_streams_count(const struct event_streams *streams);
/* Whether anybody reads them but other hosts. */
bool event_streams_wanted(const struct event_streams *streams);
/* added is called for each new one; NULL ends that. */
void event_streams_observe(struct event_streams *streams, void (*added)(void *arg), void *arg);
/* The tokens (borrowed): a stream ends when the one of its client does. NULL: none are looked at.
 */
void event_streams_set_tokens(struct event_streams *streams, const struct tokens *tokens);
/* Makes a stream of the request, of one type of events where its query says so; or answers 400 for
 * a type that there is not, 503 where there are too many and no other client has more of them. */
void event_streams_add(struct event_streams *streams, struct request *req);

#endif
