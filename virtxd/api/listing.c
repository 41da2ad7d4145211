/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/listing.h"

#include <string.h>

#include <event2/event.h>

#include "proto/json.h"

#define STEP 500 /* items in one turn of the loop: a millisecond or so */

struct listing {
	struct request *req;
	const struct model *model;
	void *list;
	struct json_list *text;
	struct event *turn;
	char *warning; /* a header, "" for none */
};

static void
listing_free(struct listing *listing)
{
	event_free(listing->turn);
	model_clear(listing->model, listing->list);
	free(listing->list);
	free(listing->warning);
	free(listing);
}

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct listing *listing = arg;

	free(json_list_end(listing->text, NULL));
	request_reply_error(listing->req, &none);
	listing_free(listing);
}

static const struct request_watch watch = { .gone = on_gone };

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval at_once = { 0 };
	struct request_header header = { "Warning", NULL };
	struct listing *listing = arg;
	_free_ char *value = NULL;
	char *text;
	size_t len;

	if (json_list_step(listing->text, STEP)) {
		evtimer_add(listing->turn, &at_once);
		return;
	}
	text = json_list_end(listing->text, &len);
	header.value = value = request_warning(listing->warning);
	request_reply_json(
	    listing->req, 200, text, len, &header, str_empty(listing->warning) ? 0 : 1);
	listing_free(listing);
}

void
listing_reply(struct event_base *base, struct request *req, const struct model *model, void *list,
    const char *warning)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));

	listing->req = req;
	listing->warning = xstrdup(warning);
	listing->model = model;
	listing->list = xcalloc(1, model->size);
	memcpy(listing->list, list, model->size);
	memset(list, 0, model->size);
	listing->text = json_list_new(model, listing->list);
	listing->turn = evtimer_new(base, on_turn, listing);
	request_set_watch(req, &watch, listing);
	on_turn(-1, 0, listing);
}
