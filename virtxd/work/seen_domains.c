/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/seen_domains.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <uthash.h>

#include "proto/uuid.h"
#include "work/damaged_files.h"

#define RACY_S \
	60 /* a file that has changed just now may change again within one tick of its clock */

struct seen {
	UT_hash_handle hh;
	char uuid[UUID_TEXT_SIZE];
	struct domain_text text;
	bool registered;
	struct stat file; /* of the registry, when it was found to be whole */
	struct orphan_expected *expected;
	size_t n_expected;
	uint64_t met; /* number of the reconciliation that has met it last */
};

static struct seen *seen_domains;
static uint64_t round_number;

void
domain_text_clear(struct domain_text *text)
{
	free(text->definition);
	free(text->live);
	*text = (struct domain_text){ 0 };
}

int
domain_text_read(virDomainPtr domain, struct domain_text *ret)
{
	bool on = virDomainGetID(domain) != (unsigned int)-1;

	*ret = (struct domain_text){
		.definition = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE),
		.live = on ? virDomainGetXMLDesc(domain, 0) : NULL,
	};
	return ret->definition && (ret->live || !on) ? 0 : -1;
}

static bool
is_same_text(const struct domain_text *a, const struct domain_text *b)
{
	return str_equal(a->definition, b->definition) && !a->live == !b->live &&
	       (!a->live || strcmp(a->live, b->live) == 0);
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

static void
forget(struct seen *seen)
{
	HASH_DEL(seen_domains, seen);
	domain_text_clear(&seen->text);
	free(seen->expected);
	free(seen);
}

static struct seen *
find(const char *uuid)
{
	struct seen *seen;

	HASH_FIND_STR(seen_domains, uuid, seen);
	return seen;
}

void
seen_domains_begin(const struct work_env *env)
{
	static char *where;
	_free_ char *now = xasprintf("%s %s %s", env->uri, env->root, env->host);
	struct seen *seen, *next;

	HASH_ITER (hh, seen_domains, seen, next) {
		if (seen->met != round_number || !str_equal(where, now))
			forget(seen);
	}
	str_set(&where, now);
	round_number++;
}

static bool
has_same_file(const struct work_env *env, const struct seen *seen)
{
	struct error ignored = { 0 };
	struct stat file;

	return registry_stat(env->root, env->host, seen->uuid, &file, &ignored) == 0 &&
	       is_same_file(&seen->file, &file);
}

bool
seen_domains_recall(const struct work_env *env, const char *uuid, bool registered,
    const struct domain_text *text, struct orphan_knowledge *knowledge)
{
	struct seen *seen = find(uuid);

	if (!seen || seen->registered != registered || !is_same_text(&seen->text, text) ||
	    (registered && !has_same_file(env, seen)))
		return false;
	for (size_t i = 0; i < seen->n_expected; i++)
		*model_append(&knowledge->expected, &knowledge->n_expected) = seen->expected[i];
	seen->met = round_number;
	return true;
}

/* Whether the registry's file of the VM is whole, and which it is. */
static bool
look_at_file(const struct work_env *env, const char *uuid, struct stat *ret)
{
	struct reconcile_result found = { 0 };
	struct error ignored = { 0 };
	struct stat after;
	bool whole = registry_stat(env->root, env->host, uuid, ret, &ignored) == 0 &&
		     now_ms() / 1000 - ret->st_mtim.tv_sec > RACY_S &&
		     damaged_files_check_registry(env, uuid, &found) &&
		     registry_stat(env->root, env->host, uuid, &after, &ignored) == 0 &&
		     is_same_file(ret, &after);

	model_clear(&reconcile_result_model, &found);
	return whole;
}

void
seen_domains_keep(const struct work_env *env, const char *uuid, bool registered,
    virDomainPtr domain, const struct domain_text *before, const struct orphan_knowledge *knowledge,
    size_t first)
{
	_domain_text_ struct domain_text after = { 0 };
	struct seen *seen = find(uuid);
	struct stat file = { 0 };
	size_t n = knowledge->n_expected - first;

	if (seen)
		forget(seen);
	if (domain_text_read(domain, &after) < 0 || !is_same_text(before, &after) ||
	    (registered && !look_at_file(env, uuid, &file)))
		return;
	seen = xcalloc(1, sizeof(*seen));
	snprintf(seen->uuid, sizeof(seen->uuid), "%s", uuid);
	seen->registered = registered;
	seen->text = after;
	after = (struct domain_text){ 0 };
	seen->file = file;
	seen->expected = xcalloc(n + 1, sizeof(*seen->expected));
	if (n > 0)
		memcpy(seen->expected, knowledge->expected + first, n * sizeof(*seen->expected));
	seen->n_expected = n;
	seen->met = round_number;
	HASH_ADD_STR(seen_domains, uuid, seen);
}
