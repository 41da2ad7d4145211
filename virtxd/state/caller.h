/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who asks for something, and what they may do. */
#ifndef STATE_CALLER_H
#define STATE_CALLER_H

#include "proto/error.h"
#include "proto/role.h"
#include "proto/vmdef.h"

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
#define CALLER_TEXT_SIZE 2048

struct caller {
	enum caller_by by;
	enum role role;
	/* "token:ci", "user:alice", "host:UUID", "uid:0" or an address. */
	char user[CALLER_USER_MAX + 1];
	char from[CALLER_USER_MAX + 1]; /* the client's address, "unix" for none */
	int64_t token_created;		/* of a token that this host has seen, ms since the epoch */
	/* The custom field of the VMs that there are for them; both are "" where that is all. */
	char only_name[VMDEF_CUSTOM_BYTES_MAX + 1];
	char only_value[VMDEF_CUSTOM_BYTES_MAX + 1];
};

/* The client of a request that came by the UNIX socket, which no address is, and root as the kernel
 * names its user there. */
#define CALLER_UNIX "unix"
#define CALLER_ROOT "uid:0"

/* Begins the user of a token, or of one that has a certificate; its name follows. */
#define CALLER_TOKEN_USER	"token:"
#define CALLER_CERTIFICATE_USER "user:"

/* "address", "token", "certificate", "socket". */
const char *caller_by_word(enum caller_by by);
bool caller_is_limited(const struct caller *caller);
/* Whether a VM with this definition is there for them. */
bool caller_sees(const struct caller *caller, const struct vmdef *def);
/* Whether they may give a VM this definition: it has the field, and no other of that name, by which
 * it would be somebody else's, too. */
bool caller_keeps(const struct caller *caller, const struct vmdef *def);

/* As one host states to another for whom it asks. ROLE_HOST, which nobody else may have, becomes
 * the most that it may give: ROLE_ADMIN. */
void caller_write(const struct caller *caller, char ret[CALLER_TEXT_SIZE]);
/* Reads what a host states; 0, or -1 with a 400. */
int caller_read(const char *text, struct caller *ret, struct error *err);

#endif
