/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which server a command is for, who answers for its certificate, and what it gets of the user: a
 * token, or a certificate. */
#ifndef VIRTX_CHOICE_H
#define VIRTX_CHOICE_H

#include "virtx/command.h"

/* What the options of every command say, NULL for those that are not given. */
struct choice {
	const char *server;	       /* -A */
	const char *context;	       /* --context */
	const char *ca_file;	       /* --ca-file */
	const char *token_file;	       /* --token-file */
	const char *certificate, *key; /* --certificate, --key */
};

struct choice choice_of(const struct command_call *call);
/*
 * Sets the client's server, token and certificate. Each of server, CA and token is what an option
 * says, else the context that --context names; without that what the environment says, else the
 * context that VIRTX_CONTEXT names or that is used; else what there is on this host. What a context
 * has is for its own server: there is no context where a server is named otherwise. None has a
 * certificate of a user; where one is said, the token of a context is not sent, as that would come
 * first.
 */
int choice_make(const struct choice *options, struct client *client, struct error *err);
/* The name of the context that this takes, CONTEXT_NONE where nothing is said, NULL where a server
 * is. The caller frees. */
int choice_context(const struct choice *options, char **ret, struct error *err);
/* Says on stderr where the environment keeps a context from being taken that is used from now on.
 */
void choice_warn(const char *name);
/* What an option says, else a variable of the environment; NULL for neither. */
const char *choice_or_environment(const char *option, const char *variable);

#endif
