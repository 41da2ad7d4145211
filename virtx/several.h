/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One command for several VMs. */
#ifndef VIRTX_SEVERAL_H
#define VIRTX_SEVERAL_H

#include "virtx/command.h"
#include "virtx/known.h"

#define SEVERAL_ROWS                                                                  \
	{ SEVERAL_OPTION_ALL, "all", NULL, "all VMs; with --filter those that fit" }, \
	{                                                                             \
		SEVERAL_OPTION_PARALLEL, "parallel", ARG_TEXT("N"),                   \
		    "of several, so many at a time (8)"                               \
	}
#define SEVERAL_ROW_YES                                                                    \
	{                                                                                  \
		SEVERAL_OPTION_YES, "yes", NULL, "do not ask before it is done to several" \
	}

/* Whether VMs that the server does not know are done with. */
bool several_may_be_gone(const struct command_call *call);
/* Adds the VMs that --all and --filter mean, by one GET /vms. None is an error (404), unless they
 * may be gone. */
enum command_result several_select(
    const struct command_call *call, struct known_list *known, struct error *err);
/*
 * Runs the command for each of them, in processes of their own, and says how each one ends as it
 * does. Their ids are UUIDs. A failure has the status of the worst one; where SIGINT or SIGTERM
 * comes, what is not begun is left, and err is CLIENT_GOES_ON_STATUS.
 */
enum command_result several_run(
    const struct command_call *call, const struct known_list *known, struct error *err);

#endif
