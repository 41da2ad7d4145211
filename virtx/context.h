/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contexts: the servers that a user has logged in to, each with who answers for its certificate and
 * with a token. They are files of the folder virtx in XDG_CONFIG_HOME, else in ~/.config, which its
 * owner alone may use: one of another user has none. No link in it is followed.
 */
#ifndef VIRTX_CONTEXT_H
#define VIRTX_CONTEXT_H

#include "proto/error.h"

#define CONTEXT_NONE   "default"    /* the name of what there is without any: this host */
#define CONTEXT_CA_MAX (512 * 1024) /* bytes */

struct context {
	char *server; /* https://HOST[:PORT] */
	char *ca;     /* PEM, "" for those that the system trusts */
	char *token;  /* its secret, "" where the server wants none */
};

/* Leaves nothing of the secret in memory. */
void context_clear(struct context *context);
#define _context_ __attribute__((cleanup(context_clear)))

/* 0, or -1 where the name is none for a context. */
int context_check_name(const char *name, struct error *err);
/* 1, 0 where there is none of this name, or -1. */
int context_read(const char *name, struct context *ret, struct error *err);
/* Each of these is done whole or not at all. */
int context_write(const char *name, const struct context *context, struct error *err);
/* It is not used any more, either. */
int context_remove(const char *name, struct error *err);

/* The one that is used where nothing else is said; *ret is NULL for none. The caller frees. */
int context_used(char **ret, struct error *err);
/* There has to be one of this name, or it is CONTEXT_NONE. */
int context_use(const char *name, struct error *err);

struct context_names {
	char **items; /* in order */
	size_t n;
};
int context_list(struct context_names *ret, struct error *err);
void context_names_clear(struct context_names *names);

#endif
