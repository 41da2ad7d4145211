/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtxd as it serves: all its parts, from its start until it is told to stop. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "state/config.h"

struct daemon_options {
	const char *config_file; /* read again on SIGHUP */
	bool config_given;	 /* it has to be there */
	bool debug;		 /* the log's level is debug, whatever the file says */
};

/* Serves until SIGTERM or SIGINT. options is borrowed; config, which was read of that file, is
 * taken over. 0, or -1 where it could not start, which the log says. */
int daemon_run(const struct daemon_options *options, struct config *config);

#endif
