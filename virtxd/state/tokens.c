/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "proto/token_secret.h"

#define RECENT_MAX TOKENS_MAX

struct name {
	char text[TOKEN_NAME_MAX + 1];
};

struct tokens {
	struct token_set set;
	bool known;
	struct name *recent; /* those changed since they began to be read */
	size_t n_recent;
	bool too_many;	  /* for that */
	bool out_changed; /* since they began to be read */
	void (*on_out)(void *arg);
	void *arg;
};

struct tokens *
tokens_new(void)
{
	return xcalloc(1, sizeof(struct tokens));
}

void
tokens_free(struct tokens *tokens)
{
	if (!tokens)
		return;
	model_clear(&token_set_model, &tokens->set);
	free(tokens->recent);
	free(tokens);
}

static bool
is_over(const struct token *token)
{
	return token->expires && token->expires <= now_ms();
}

bool
tokens_has(const struct tokens *tokens, const char *name, int64_t created)
{
	for (size_t i = 0; i < tokens->set.n_items; i++) {
		const struct token *token = &tokens->set.items[i].token;

		if (str_equal(token->name, name))
			return token->created == created && !is_over(token);
	}
	return false;
}

int64_t
tokens_created(const struct tokens *tokens, const char *name)
{
	for (size_t i = 0; i < tokens->set.n_items; i++) {
		if (str_equal(tokens->set.items[i].token.name, name))
			return tokens->set.items[i].token.created;
	}
	return 0;
}

/* A certificate is no secret: who sends what it is made of has not shown its key. */
static enum token_match
find(const struct tokens *tokens, bool certificate, const char *hash, const struct token **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < tokens->set.n_items; i++) {
		const struct token_record *record = &tokens->set.items[i];

		if (token_secret_same(record->hash, hash) &&
		    record->token.certificate == certificate)
			*ret = &record->token;
	}
	if (!*ret)
		return tokens->known ? TOKEN_WRONG : TOKEN_UNREAD;
	return is_over(*ret) ? TOKEN_EXPIRED : TOKEN_GOOD;
}

enum token_match
tokens_find(const struct tokens *tokens, const char *secret, const struct token **ret)
{
	char hash[TOKEN_HASH_LEN + 1];

	token_secret_hash(secret, hash);
	return find(tokens, false, hash, ret);
}

enum token_match
tokens_find_certificate(const struct tokens *tokens, const char *print, const struct token **ret)
{
	return find(tokens, true, print, ret);
}

void
tokens_begin(struct tokens *tokens)
{
	tokens->n_recent = 0;
	tokens->too_many = tokens->out_changed = false;
}

static bool
is_recent(const struct tokens *tokens, const char *name)
{
	for (size_t i = 0; i < tokens->n_recent; i++) {
		if (strcmp(tokens->recent[i].text, name) == 0)
			return true;
	}
	return false;
}

static void
note_recent(struct tokens *tokens, const char *name)
{
	/* What is no name is none of theirs. */
	if (!token_name_valid(name) || is_recent(tokens, name))
		return;
	tokens->too_many |= tokens->n_recent == RECENT_MAX;
	if (!tokens->too_many)
		memcpy(
		    model_append(&tokens->recent, &tokens->n_recent)->text, name, strlen(name) + 1);
}

static int
compare(const void *a, const void *b)
{
	const struct token_record *x = a, *y = b;

	return strcmp(x->token.name, y->token.name);
}

static void
sort(struct tokens *tokens)
{
	if (tokens->set.n_items > 0)
		qsort(tokens->set.items, tokens->set.n_items, sizeof(*tokens->set.items), compare);
}

static bool
is_unread(const struct token_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_unread; i++) {
		if (str_equal(set->unread[i].name, name))
			return true;
	}
	return false;
}

static void
drop_items(struct token_set *set)
{
	for (size_t i = 0; i < set->n_items; i++)
		model_clear(&token_record_model, &set->items[i]);
	free(set->items);
	set->items = NULL;
	set->n_items = 0;
}

static void
drop_tokens(struct token **items, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		model_clear(&token_model, &(*items)[i]);
	free(*items);
	*items = NULL;
	*n = 0;
}

static void
take(struct token_set *set, struct token_record *record)
{
	*model_append(&set->items, &set->n_items) = *record;
	*record = (struct token_record){ 0 };
}

void
tokens_assume_out(struct tokens *tokens, const char *host)
{
	if (!tokens->known && !tokens_is_out(tokens, host))
		model_append(&tokens->set.out, &tokens->set.n_out)->name = xstrdup(host);
}

void
tokens_watch_out(struct tokens *tokens, void (*on_out)(void *arg), void *arg)
{
	tokens->on_out = on_out;
	tokens->arg = arg;
}

static void
tell_out(struct tokens *tokens)
{
	if (tokens->on_out)
		tokens->on_out(tokens->arg);
}

/* Whether a host is out by the set that was not until now. */
static bool
has_more_out(const struct tokens *tokens, const struct token_set *set)
{
	for (size_t i = 0; i < set->n_out; i++) {
		if (!tokens_is_out(tokens, set->out[i].name))
			return true;
	}
	return false;
}

/* What was changed here since may not have been read. */
static void
take_out(struct tokens *tokens, struct token_set *old, struct token_set *set)
{
	struct token_set *from = tokens->out_changed ? old : set;

	tokens->set.out = from->out;
	tokens->set.n_out = from->n_out;
	from->out = NULL;
	from->n_out = 0;
	drop_tokens(&old->out, &old->n_out);
	drop_tokens(&set->out, &set->n_out);
	drop_tokens(&old->again, &old->n_again);
	tokens->set.again = set->again;
	tokens->set.n_again = set->n_again;
	set->again = NULL;
	set->n_again = 0;
}

bool
tokens_replace(struct tokens *tokens, struct token_set *set)
{
	struct token_set old = tokens->set, fresh = { 0 };
	bool more;

	if (tokens->too_many)
		return false;
	more = tokens->known && !tokens->out_changed && has_more_out(tokens, set);
	for (size_t i = 0; i < set->n_items; i++) {
		if (!is_recent(tokens, set->items[i].token.name))
			take(&fresh, &set->items[i]);
	}
	for (size_t i = 0; i < old.n_items; i++) {
		const char *name = old.items[i].token.name;

		if (is_recent(tokens, name) || is_unread(set, name))
			take(&fresh, &old.items[i]);
	}
	drop_items(&old);
	drop_items(set);
	tokens->set = fresh;
	take_out(tokens, &old, set);
	tokens->known = true;
	sort(tokens);
	if (more)
		tell_out(tokens);
	return true;
}

void
tokens_add(struct tokens *tokens, const struct token_record *record)
{
	tokens_drop(tokens, record->token.name);
	model_copy(
	    &token_record_model, model_append(&tokens->set.items, &tokens->set.n_items), record);
	sort(tokens);
}

bool
tokens_drop(struct tokens *tokens, const char *name)
{
	struct token_set *set = &tokens->set;
	size_t kept = 0, n = set->n_items;

	note_recent(tokens, name);
	for (size_t i = 0; i < set->n_items; i++) {
		if (str_equal(set->items[i].token.name, name))
			model_clear(&token_record_model, &set->items[i]);
		else
			set->items[kept++] = set->items[i];
	}
	set->n_items = kept;
	return kept < n;
}

bool
tokens_list(const struct tokens *tokens, struct token_list *ret)
{
	for (size_t i = 0; i < tokens->set.n_items; i++)
		model_copy(&token_model, model_append(&ret->items, &ret->n_items),
		    &tokens->set.items[i].token);
	return tokens->known;
}

bool
tokens_known(const struct tokens *tokens)
{
	return tokens->known;
}

static size_t
find_out(const struct tokens *tokens, const char *host)
{
	size_t i = 0;

	while (i < tokens->set.n_out && !str_equal(tokens->set.out[i].name, host))
		i++;
	return i;
}

bool
tokens_is_out(const struct tokens *tokens, const char *host)
{
	return find_out(tokens, host) < tokens->set.n_out;
}

int
tokens_again(const struct tokens *tokens, const char *host)
{
	return token_set_again(&tokens->set, host);
}

void
tokens_put_out(struct tokens *tokens, const char *host, bool out)
{
	struct token_set *set = &tokens->set;
	size_t i = find_out(tokens, host);

	tokens->out_changed = true;
	if (out && i == set->n_out) {
		model_append(&set->out, &set->n_out)->name = xstrdup(host);
	} else if (!out && i < set->n_out) {
		model_clear(&token_model, &set->out[i]);
		set->out[i] = set->out[--set->n_out];
	}
	if (out)
		tell_out(tokens);
}
