/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/list_reply.h"

#include <sys/queue.h>

#include "loop/timer.h"

#define TURN_VMS 10000 /* to look at before others get a turn of the loop: some milliseconds */

struct list_reply {
	TAILQ_ENTRY(list_reply) entry;
	struct list_replies *owner;
	struct request *req;
	struct vm_list_options options;
	struct list_page page;
	char *warning; /* a header, "" for none */
};

TAILQ_HEAD(list_reply_queue, list_reply);

struct list_replies {
	struct inventory *inventory;
	struct timer *turn;
	struct list_reply_queue waiting;
	size_t looked_at; /* VMs, since the last turn */
};

static void
waiter_free(struct list_reply *waiter)
{
	TAILQ_REMOVE(&waiter->owner->waiting, waiter, entry);
	model_clear(&vm_list_options_model, &waiter->options);
	free(waiter->warning);
	free(waiter);
}

static void
on_gone(void *arg)
{
	static const struct error none = { .status = 499 };
	struct list_reply *waiter = arg;
	struct request *req = waiter->req;

	waiter_free(waiter);
	request_reply_error(req, &none);
}

static const struct request_watch watch = { .gone = on_gone };

static void
reply(struct list_replies *list_replies, struct request *req, const struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	struct shared_text *text =
	    inventory_vms_json(list_replies->inventory, &options->filter, page);
	_free_ char *value = str_empty(warning) ? NULL : request_warning(warning);
	struct request_header header = { "Warning", value };

	list_replies->looked_at += inventory_n_vms(list_replies->inventory) + 1;
	request_reply_shared(req, 200, text, &header, value ? 1 : 0);
}

static bool
is_time_left(const struct list_replies *list_replies)
{
	return list_replies->looked_at < TURN_VMS;
}

static void
wait_for_turn(struct list_replies *list_replies)
{
	timer_start(list_replies->turn, 0);
}

static void
on_turn(void *arg)
{
	struct list_replies *list_replies = arg;
	struct list_reply *waiter;

	list_replies->looked_at = 0;
	while (is_time_left(list_replies) && (waiter = TAILQ_FIRST(&list_replies->waiting))) {
		struct request *req = waiter->req;

		request_set_watch(req, NULL, NULL);
		reply(list_replies, req, &waiter->options, &waiter->page, waiter->warning);
		waiter_free(waiter);
	}
	if (!TAILQ_EMPTY(&list_replies->waiting))
		wait_for_turn(list_replies);
}

struct list_replies *
list_replies_new(struct event_base *base, struct inventory *inventory)
{
	struct list_replies *list_replies = xcalloc(1, sizeof(*list_replies));

	list_replies->inventory = inventory;
	list_replies->turn = timer_new(base, on_turn, list_replies);
	TAILQ_INIT(&list_replies->waiting);
	return list_replies;
}

void
list_replies_free(struct list_replies *list_replies)
{
	if (!list_replies)
		return;
	timer_free(list_replies->turn);
	free(list_replies);
}

static void
put_off(struct list_replies *list_replies, struct request *req, struct vm_list_options *options,
    const struct list_page *page, const char *warning)
{
	struct list_reply *waiter = xcalloc(1, sizeof(*waiter));

	waiter->owner = list_replies;
	waiter->req = req;
	waiter->options = *options;
	*options = (struct vm_list_options){ 0 };
	waiter->page = *page;
	waiter->warning = xstrdup(warning);
	TAILQ_INSERT_TAIL(&list_replies->waiting, waiter, entry);
	request_set_watch(req, &watch, waiter);
	wait_for_turn(list_replies);
}

void
list_reply_send(struct list_replies *list_replies, struct request *req,
    struct vm_list_options *options, const struct list_page *page, const char *warning)
{
	if (is_time_left(list_replies) && TAILQ_EMPTY(&list_replies->waiting))
		reply(list_replies, req, options, page, warning);
	else
		put_off(list_replies, req, options, page, warning);
}
