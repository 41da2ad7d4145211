/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host for unit tests of tokens, and of hosts that are put out. */
#ifndef TEST_TOKEN_HOST_H
#define TEST_TOKEN_HOST_H

#include "ops_host.h"

#include "api/api.h"
#include "ops/token_keeper.h"
#include "proto/json.h"
#include "proto/token_secret.h"

static struct tokens *tokens;
static unsigned int changes;

static inline void
on_changed(void *arg)
{
	changes++;
}

static inline int
setup(void **state)
{
	if (ops_setup(state) < 0)
		return -1;
	ops_up();
	tokens = tokens_new();
	changes = 0;
	here.ctx.tokens =
	    token_keeper_new(here.ctx.base, &here.config, here.ctx.jobs, tokens, on_changed, NULL);
	return 0;
}

static inline int
teardown(void **state)
{
	token_keeper_free(here.ctx.tokens);
	here.ctx.tokens = NULL;
	tokens_free(tokens);
	return ops_teardown(state);
}

#define KEEPER_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* The job that reads them has found these, of which the hash is that of their name. */
static inline void
loaded(const char *const *names, const char *stamp)
{
	struct token_set set = { .stamp = xstrdup(stamp) };

	for (; *names; names++) {
		struct token_record *record = model_append(&set.items, &set.n_items);
		char hash[TOKEN_HASH_LEN + 1];

		token_secret_hash(*names, hash);
		record->token.name = xstrdup(*names);
		record->token.role = ROLE_VIEWER;
		record->hash = xstrdup(hash);
	}
	ops_end_job(WORK_TOKENS_LOAD, &set);
	model_clear(&token_set_model, &set);
}

#define LOADED(stamp, ...) loaded((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL }, stamp)

static inline void
ask(enum route_id route, const char *param, const char *body)
{
	here.status = 0;
	api_handle(&here.ctx, ops_request(route, param, body));
}

#endif
