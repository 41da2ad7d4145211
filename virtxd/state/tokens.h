/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tokens, in memory: who asks with a secret is known whatever the storage does. */
#ifndef STATE_TOKENS_H
#define STATE_TOKENS_H

#include "proto/token.h"

struct tokens;

struct tokens *tokens_new(void);
void tokens_free(struct tokens *tokens);

enum token_match {
	TOKEN_UNREAD,  /* nobody knows yet which there are */
	TOKEN_WRONG,   /* there is none with this secret (any more) */
	TOKEN_EXPIRED, /* there is, and its time is over */
	TOKEN_GOOD,
};
/* Looks for the one with this secret; *ret, borrowed until the tokens change, is NULL for none.
 * For how long it takes tells nothing of the secrets that there are. */
enum token_match tokens_find(
    const struct tokens *tokens, const char *secret, const struct token **ret);

/* Likewise the one with the certificate of this fingerprint. */
enum token_match tokens_find_certificate(
    const struct tokens *tokens, const char *print, const struct token **ret);

/* Whether there is still one of this name that was made then, and its time is not over. */
bool tokens_has(const struct tokens *tokens, const char *name, int64_t created);

/* When the one of this name was made, ms since the epoch; 0 for none. */
int64_t tokens_created(const struct tokens *tokens, const char *name);

/* All of them begin to be read. */
void tokens_begin(struct tokens *tokens);
/* All there are, as they were read since; takes the set's items. Those that were changed here since
 * then stay as they are, and so do those that could not be read, so that nobody is turned away by a
 * storage that stutters. False where too many were changed: nothing is taken. */
bool tokens_replace(struct tokens *tokens, struct token_set *set);
/* One more, or none of this name; false where there was none. */
void tokens_add(struct tokens *tokens, const struct token_record *record);
bool tokens_drop(struct tokens *tokens, const char *name);
/* Whether the host was put out of the cluster, as far as that is known: tokens_known(). */
bool tokens_is_out(const struct tokens *tokens, const char *host);
/* How often it was let in again, 0 for never. */
int tokens_again(const struct tokens *tokens, const char *host);
/* It was, or is not any more. */
void tokens_put_out(struct tokens *tokens, const char *host, bool out);
/* It was when this host knew last: so it is until they are read. */
void tokens_assume_out(struct tokens *tokens, const char *host);
/* Has it called whenever a host was put out, here or by another host; not for those that were out
 * when they were read first. One at most. */
void tokens_watch_out(struct tokens *tokens, void (*on_out)(void *arg), void *arg);
/* All of that was read once. */
bool tokens_known(const struct tokens *tokens);
/* A copy of them, by name; false while they are not known. */
bool tokens_list(const struct tokens *tokens, struct token_list *ret);

#endif
