/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop/base.h"

#include <event2/event.h>
#include <stdlib.h>

struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		abort();
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}
