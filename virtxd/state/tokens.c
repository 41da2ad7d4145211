/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "proto/token_secret.h"

struct tokens {
	struct token_set set;
	bool known;
	uint64_t mark;
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
	free(tokens);
}

enum token_match
tokens_find(const struct tokens *tokens, const char *secret, const struct token **ret)
{
	char hash[TOKEN_HASH_LEN + 1];

	*ret = NULL;
	token_secret_hash(secret, hash);
	for (size_t i = 0; i < tokens->set.n_items; i++) {
		const struct token_record *record = &tokens->set.items[i];

		if (token_secret_same(record->hash, hash))
			*ret = &record->token;
	}
	if (!*ret)
		return tokens->known ? TOKEN_WRONG : TOKEN_UNREAD;
	return (*ret)->expires && (*ret)->expires <= now_ms() ? TOKEN_EXPIRED : TOKEN_GOOD;
}

uint64_t
tokens_mark(const struct tokens *tokens)
{
	return tokens->mark;
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

static struct token_record
steal_record(struct token_record *record)
{
	struct token_record stolen = *record;

	*record = (struct token_record){ 0 };
	return stolen;
}

void
tokens_replace(struct tokens *tokens, struct token_set *set)
{
	struct token_set fresh = { 0 };

	for (size_t i = 0; i < tokens->set.n_items; i++) {
		struct token_record *record = &tokens->set.items[i];

		if (is_unread(set, record->token.name))
			*model_append(&set->items, &set->n_items) = steal_record(record);
	}
	fresh.items = steal_ptr(set->items);
	fresh.n_items = set->n_items;
	set->n_items = 0;
	model_clear(&token_set_model, &tokens->set);
	tokens->set = fresh;
	tokens->known = true;
	sort(tokens);
}

void
tokens_add(struct tokens *tokens, const struct token_record *record)
{
	tokens_drop(tokens, record->token.name);
	model_copy(
	    &token_record_model, model_append(&tokens->set.items, &tokens->set.n_items), record);
	sort(tokens);
}

void
tokens_drop(struct tokens *tokens, const char *name)
{
	struct token_set *set = &tokens->set;
	size_t kept = 0;

	tokens->mark++;
	for (size_t i = 0; i < set->n_items; i++) {
		if (str_equal(set->items[i].token.name, name))
			model_clear(&token_record_model, &set->items[i]);
		else
			set->items[kept++] = set->items[i];
	}
	set->n_items = kept;
}

bool
tokens_list(const struct tokens *tokens, struct token_list *ret)
{
	for (size_t i = 0; i < tokens->set.n_items; i++)
		model_copy(&token_model, model_append(&ret->items, &ret->n_items),
		    &tokens->set.items[i].token);
	return tokens->known;
}
