/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An inventory that knows two other hosts, and what they tell of their VMs. */
#ifndef TEST_INVENTORY_FIXTURE_H
#define TEST_INVENTORY_FIXTURE_H

#include "state/inventory.h"

#define SELF  "aaaaaaaa-0000-4000-8000-000000000000"
#define OTHER "bbbbbbbb-0000-4000-8000-000000000000"
#define THIRD "cccccccc-0000-4000-8000-000000000000"
#define VM    "11111111-0000-4000-8000-000000000000"
#define VM2   "22222222-0000-4000-8000-000000000000"

static inline struct inventory *
make(void)
{
	struct inventory *inventory = inventory_new();
	struct host_report report = { .uuid = (char[]){ SELF }, .has_def = true };

	report.def.name = (char[]){ "self" };
	inventory_report_host(inventory, &report);
	inventory_set_host(inventory, OTHER, "other", CSTATE_ACTIVE);
	inventory_set_host(inventory, THIRD, "third", CSTATE_ACTIVE);
	return inventory;
}

static inline enum inventory_news
tell(struct inventory *inventory, const char *uuid, const char *host, enum vmrunstate runstate,
    int64_t ts, const char *name)
{
	struct vm_info info = { .runstate = runstate, .ts = ts, .vcpus = 1 };
	enum inventory_news news;

	info.uuid = xstrdup(uuid);
	info.host = xstrdup(host);
	info.name = xstrdup(name);
	news = inventory_take_info(inventory, &info);
	model_clear(&vm_info_model, &info);
	return news;
}

static inline enum inventory_news
tell_state(struct inventory *inventory, const char *uuid, const char *host,
    enum vmrunstate runstate, int64_t ts)
{
	struct vm_event event = { .runstate = runstate, .ts = ts };
	enum inventory_news news;

	event.uuid = xstrdup(uuid);
	event.host = xstrdup(host);
	news = inventory_take_event(inventory, &event);
	model_clear(&vm_event_model, &event);
	return news;
}

#endif
