/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who asks for something, and what they may do. */
#ifndef STATE_CALLER_H
#define STATE_CALLER_H

#include "proto/error.h"
#include "proto/role.h"

/* By what it is known who asks. */
enum caller_by {
	CALLER_ADDRESS, /* nothing else was wanted */
	CALLER_TOKEN,
	CALLER_CERTIFICATE,
	CALLER_SOCKET, /* the kernel's word, on the UNIX socket */
	CALLER_BYS,
};

#define CALLER_USER_MAX 64
/* The longest text of caller_write, with its NUL. */
#define CALLER_TEXT_SIZE 512

struct caller {
	enum caller_by by;
	enum role role;
	char user[CALLER_USER_MAX + 1]; /* "token:ci", "host:UUID", "uid:0" or an address */
	char from[CALLER_USER_MAX + 1]; /* the client's address, "unix" for none */
};

/* "address", "token", "certificate", "socket". */
const char *caller_by_word(enum caller_by by);
/* As one host states to another for whom it asks. ROLE_HOST, which nobody else may have, becomes
 * the most that it may give: ROLE_ADMIN. */
void caller_write(const struct caller *caller, char ret[CALLER_TEXT_SIZE]);
/* Reads what a host states; 0, or -1 with a 400. */
int caller_read(const char *text, struct caller *ret, struct error *err);

#endif
