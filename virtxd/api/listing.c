/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/listing.h"

#include <sys/queue.h>

#include <event2/event.h>

#include "proto/json.h"

#define STEP	   500 /* items in one turn of the loop: a millisecond or so */
#define ACTIVE_MAX 4   /* that are being written, each with a copy of what it lists */

struct listing {
	TAILQ_ENTRY(listing) entry;
	struct listings *owner;
	struct request *req;
	struct vm_list_options options;
	struct list_page page;
	char *warning; /* a header, "" for none */
	struct vm_list list;
	struct json_list *text; /* NULL while it waits */
};

TAILQ_HEAD(listing_queue, listing);

struct listings {
	const struct inventory *inventory;
	struct event *turn;
	struct listing_queue active, waiting;
	unsigned int n_active;
};

static void
listing_free(struct listing *listing)
{
	struct listings *listings = listing->owner;

	TAILQ_REMOVE(listing->text ? &listings->active : &listings->waiting, listing, entry);
	listings->n_active -= listing->text != NULL;
	model_clear(&vm_list_model, &listing->list);
	model_clear(&vm_list_options_model, &listing->options);
	free(listing->warning);
	free(listing);
}

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct listing *listing = arg;
	struct request *req = listing->req;

	if (listing->text)
		free(json_list_end(listing->text, NULL));
	listing_free(listing);
	request_reply_error(req, &none);
}

static const struct request_watch watch = { .gone = on_gone };

static void
reply(struct listing *listing)
{
	size_t len;
	char *text = json_list_end(listing->text, &len);
	_free_ char *value = request_warning(listing->warning);
	struct request_header header = { "Warning", value };
	size_t n_headers = str_empty(listing->warning) ? 0 : 1;
	struct request *req = listing->req;

	listing_free(listing);
	request_reply_json(req, 200, text, len, &header, n_headers);
}

/* Writes more of the one whose turn it is. */
static void
step(struct listings *listings)
{
	static const struct timeval at_once = { 0 };
	struct listing *listing = TAILQ_FIRST(&listings->waiting);

	if (listing && listings->n_active < ACTIVE_MAX) {
		TAILQ_REMOVE(&listings->waiting, listing, entry);
		inventory_list_vms(
		    listings->inventory, &listing->options.filter, &listing->page, &listing->list);
		listing->text = json_list_new(&vm_list_model, &listing->list);
		TAILQ_INSERT_HEAD(&listings->active, listing, entry);
		listings->n_active++;
	}
	listing = TAILQ_FIRST(&listings->active);
	if (json_list_step(listing->text, STEP)) {
		TAILQ_REMOVE(&listings->active, listing, entry);
		TAILQ_INSERT_TAIL(&listings->active, listing, entry);
	} else {
		reply(listing);
	}
	if (listings->n_active > 0 || !TAILQ_EMPTY(&listings->waiting))
		evtimer_add(listings->turn, &at_once);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct listings *listings = arg;

	/* All may have gone meanwhile. */
	if (listings->n_active > 0 || !TAILQ_EMPTY(&listings->waiting))
		step(listings);
}

struct listings *
listings_new(struct event_base *base, const struct inventory *inventory)
{
	struct listings *listings = xcalloc(1, sizeof(*listings));

	listings->inventory = inventory;
	listings->turn = evtimer_new(base, on_turn, listings);
	if (!listings->turn)
		abort();
	TAILQ_INIT(&listings->active);
	TAILQ_INIT(&listings->waiting);
	return listings;
}

void
listings_free(struct listings *listings)
{
	if (!listings)
		return;
	event_free(listings->turn);
	free(listings);
}

void
listing_reply(struct listings *listings, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));
	bool idle = listings->n_active == 0 && TAILQ_EMPTY(&listings->waiting);

	listing->owner = listings;
	listing->req = req;
	listing->options = *options;
	*options = (struct vm_list_options){ 0 };
	listing->page = *page;
	listing->warning = xstrdup(warning);
	TAILQ_INSERT_TAIL(&listings->waiting, listing, entry);
	request_set_watch(req, &watch, listing);
	/* A short one is answered at once. */
	if (idle)
		step(listings);
}
