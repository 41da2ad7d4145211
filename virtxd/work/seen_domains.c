/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/seen_domains.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <uthash.h>

#include "proto/uuid.h"
#include "work/damaged_files.h"
#include "work/file_state.h"
#include "work/hypervisor.h"

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
/* In a reconciliation: */
static int folder = -1; /* of this host in the registry; -1 where it cannot be opened */
static const struct libvirt_dirs *dirs; /* NULL: libvirtd's files do not count */

void
domain_text_clear(struct domain_text *text)
{
	free(text->definition);
	free(text->live);
	*text = (struct domain_text){ 0 };
}

/* After the look at the files, which so are never newer than it. */
static int
read_xml(virDomainPtr domain, struct domain_text *text)
{
	text->definition = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	text->live = text->files.on ? virDomainGetXMLDesc(domain, 0) : NULL;
	if (text->definition && (text->live || !text->files.on))
		return 0;
	domain_text_clear(text);
	return -1;
}

int
domain_text_read(const struct work_env *env, virDomainPtr domain, struct domain_text *ret)
{
	*ret = (struct domain_text){ 0 };
	libvirt_files_look(dirs, env->uri, domain, &ret->files);
	return read_xml(domain, ret);
}

static bool
is_same_text(const struct domain_text *a, const struct domain_text *b)
{
	return str_equal(a->definition, b->definition) && !a->live == !b->live &&
	       (!a->live || strcmp(a->live, b->live) == 0);
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
seen_domains_begin(const struct work_env *env, const struct libvirt_dirs *libvirt)
{
	static char *where;
	_free_ char *now =
	    xasprintf("%s %u %s %s", env->uri, hypervisor_connections(), env->root, env->host);
	struct error ignored = { 0 };
	struct seen *seen, *next;
	bool absent;

	HASH_ITER (hh, seen_domains, seen, next) {
		if (seen->met != round_number || !str_equal(where, now))
			forget(seen);
	}
	str_set(&where, now);
	round_number++;
	dirs = libvirt;
	folder = registry_open(env->root, env->host, &absent, &ignored);
}

void
seen_domains_end(void)
{
	util_close(&folder);
}

/* Its file in the registry; false where it cannot be read. */
static bool
look_up(const char *uuid, struct stat *ret)
{
	struct error ignored = { 0 };

	return folder >= 0 && registry_stat(folder, uuid, ret, &ignored) == 0;
}

static bool
has_same_file(const struct seen *seen)
{
	struct stat file;

	return look_up(seen->uuid, &file) && file_state_is_same(&seen->file, &file);
}

/* Whether libvirt has it as it was; reads its XML where its files do not tell that. */
static bool
is_same_domain(
    const struct work_env *env, struct seen *seen, virDomainPtr domain, struct domain_text *text)
{
	libvirt_files_look(dirs, env->uri, domain, &text->files);
	if (libvirt_files_are_same(&seen->text.files, &text->files))
		return true;
	if (read_xml(domain, text) < 0 || !is_same_text(&seen->text, text))
		return false;
	seen->text.files = text->files;
	return true;
}

bool
seen_domains_recall(const struct work_env *env, const char *uuid, bool registered,
    virDomainPtr domain, struct domain_text *text, struct orphan_knowledge *knowledge)
{
	struct seen *seen = find(uuid);

	if (!seen || seen->registered != registered || (registered && !has_same_file(seen)) ||
	    !is_same_domain(env, seen, domain, text))
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
	struct stat after;
	bool whole = look_up(uuid, ret) && file_state_is_settled(ret) &&
		     damaged_files_check_registry(env, uuid, NULL, &found) &&
		     look_up(uuid, &after) && file_state_is_same(ret, &after);

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
	if (domain_text_read(env, domain, &after) < 0 || !is_same_text(before, &after) ||
	    (registered && !look_at_file(env, uuid, &file)))
		return;
	seen = xcalloc(1, sizeof(*seen));
	snprintf(seen->uuid, sizeof(seen->uuid), "%s", uuid);
	seen->registered = registered;
	seen->text = after;
	seen->text.files = before->files;
	after = (struct domain_text){ 0 };
	seen->file = file;
	seen->expected = xcalloc(n + 1, sizeof(*seen->expected));
	if (n > 0)
		memcpy(seen->expected, knowledge->expected + first, n * sizeof(*seen->expected));
	seen->n_expected = n;
	seen->met = round_number;
	HASH_ADD_STR(seen_domains, uuid, seen);
}
