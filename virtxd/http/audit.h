/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line of the log for each request that changes something, or is refused. */
#ifndef HTTP_AUDIT_H
#define HTTP_AUDIT_H

#include "ops/request.h"
#include "state/caller.h"

/* A request that has been answered; all is borrowed. */
struct audit_entry {
	const struct caller *caller;
	const struct request *req; /* its route is NULL where it was not looked for, or is none */
	const char *method;
	const char *path; /* where there is no route */
	int status;
	int64_t ms;   /* that it took */
	bool refused; /* over who has sent it, or from where */
};

void audit_note(const struct audit_entry *entry);

#endif
