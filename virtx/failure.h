/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a command that failed ends: the exit code, by the class of the error, and what is said. */
#ifndef VIRTX_FAILURE_H
#define VIRTX_FAILURE_H

#include <stdio.h>

#include "virtx/command.h"

/* The exit codes of the program. */
enum failure_code {
	FAILURE_NONE = 0,
	FAILURE_OTHER = 1,
	FAILURE_USAGE = 2,
	FAILURE_NOT_FOUND = 3,
	FAILURE_CONFLICT = 4, /* or busy */
	FAILURE_REFUSED = 5,  /* by the state of what it is about */
	FAILURE_NOT_ALLOWED = 6,
	FAILURE_UNREACHABLE = 7, /* the server, or the host that it is about */
	FAILURE_GOES_ON = 8,	 /* it has begun and not ended in time */
};

#define FAILURE_CODES 8
/* Those of failures: the worst comes first. */
extern const enum failure_code failure_order[FAILURE_CODES];

enum failure_code failure_code(enum command_result result, const struct error *err);
/* Says it in one line, as JSON with "code", "status" (0 for none of the server's) and "detail", and
 * "vm", "host" and "operation" where they are known. */
void failure_print(FILE *out, enum failure_code code, const struct error *err, bool json);

#endif
