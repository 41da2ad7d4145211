/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/listing.h"

#include <sys/queue.h>

#include <event2/event.h>

#define TURN_VMS 10000 /* to look at before others get a turn of the loop: some milliseconds */

struct listing {
	TAILQ_ENTRY(listing) entry;
	struct listings *owner;
	struct request *req;
	struct vm_list_options options;
	struct list_page page;
	char *warning; /* a header, "" for none */
};

TAILQ_HEAD(listing_queue, listing);

struct listings {
	struct inventory *inventory;
	struct event *turn;
	struct listing_queue waiting;
	size_t looked_at; /* VMs, since the last turn */
};

static void
listing_free(struct listing *listing)
{
	TAILQ_REMOVE(&listing->owner->waiting, listing, entry);
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

	listing_free(listing);
	request_reply_error(req, &none);
}

static const struct request_watch watch = { .gone = on_gone };

static void
reply(struct listings *listings, struct request *req, const struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	size_t len;
	char *text = inventory_vms_json(listings->inventory, &options->filter, page, &len);
	_free_ char *value = str_empty(warning) ? NULL : request_warning(warning);
	struct request_header header = { "Warning", value };

	listings->looked_at += inventory_n_vms(listings->inventory) + 1;
	request_reply_json(req, 200, text, len, &header, value ? 1 : 0);
}

static bool
is_time_left(const struct listings *listings)
{
	return listings->looked_at < TURN_VMS;
}

static void
wait_for_turn(struct listings *listings)
{
	static const struct timeval at_once = { 0 };

	evtimer_add(listings->turn, &at_once);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct listings *listings = arg;
	struct listing *listing;

	listings->looked_at = 0;
	while (is_time_left(listings) && (listing = TAILQ_FIRST(&listings->waiting))) {
		struct request *req = listing->req;

		request_set_watch(req, NULL, NULL);
		reply(listings, req, &listing->options, &listing->page, listing->warning);
		listing_free(listing);
	}
	if (!TAILQ_EMPTY(&listings->waiting))
		wait_for_turn(listings);
}

struct listings *
listings_new(struct event_base *base, struct inventory *inventory)
{
	struct listings *listings = xcalloc(1, sizeof(*listings));

	listings->inventory = inventory;
	listings->turn = evtimer_new(base, on_turn, listings);
	if (!listings->turn)
		abort();
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

static void
put_off(struct listings *listings, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));

	listing->owner = listings;
	listing->req = req;
	listing->options = *options;
	*options = (struct vm_list_options){ 0 };
	listing->page = *page;
	listing->warning = xstrdup(warning);
	TAILQ_INSERT_TAIL(&listings->waiting, listing, entry);
	request_set_watch(req, &watch, listing);
	wait_for_turn(listings);
}

void
listing_reply(struct listings *listings, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	if (is_time_left(listings) && TAILQ_EMPTY(&listings->waiting))
		reply(listings, req, options, page, warning);
	else
		put_off(listings, req, options, page, warning);
}
