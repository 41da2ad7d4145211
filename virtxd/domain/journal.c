/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The intents of operations under way, beside the registry. */
#include "domain/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "domain/registry.h"
#include "domain/store.h"
#include "proto/json.h"

#define SUFFIX ".journal"

static const char *const ops[] = { "VmCreate", "VmUpdate", "VmDelete", "VmMigrate", "VmFailover" };

static const struct field journal_fields[] = {
	FIELD("op", struct journal, op),
	FIELD("uuid", struct journal, uuid),
	FIELD_ARRAY("made", struct journal, made, disk),
	FIELD_ARRAY("adopted", struct journal, adopted, disk),
	FIELD_ARRAY("dropped", struct journal, dropped, disk),
	FIELD("deletestorage", struct journal, deletestorage),
	FIELD("target", struct journal, target),
	FIELD("target_uri", struct journal, target_uri),
	FIELD("foreign", struct journal, foreign),
	FIELD("live", struct journal, live),
	FIELD("ts", struct journal, ts),
};
const struct model journal_model = { "Journal", sizeof(struct journal), journal_fields,
	ARRAY_SIZE(journal_fields) };

/* Checks host and uuid, and opens the host's directory; *name and *path are the caller's. */
static int
open_place(const char *root, const char *host, const char *uuid, bool make, bool *absent,
    char **name, char **path, struct error *err)
{
	char normal_host[37], normal_uuid[37];

	*absent = false;
	if (store_check(host, "host", normal_host, err) < 0 ||
	    store_check(uuid, "VM", normal_uuid, err) < 0)
		return -1;
	*name = xasprintf("%s" SUFFIX, normal_uuid);
	*path = xasprintf("%s/xml/%s/%s", root, normal_host, *name);
	return store_open(root, normal_host, make, absent, err);
}

int
journal_save(const char *root, const char *host, const struct journal *journal, struct error *err)
{
	_free_ char *name = NULL, *path = NULL, *text = NULL;
	_close_ int dir = -1;
	bool absent;
	size_t len;

	dir = open_place(root, host, journal->uuid, true, &absent, &name, &path, err);
	if (dir < 0)
		return -1;
	text = json_encode(&journal_model, journal, &len);
	return store_save(dir, name, text, len, path, err);
}

/* Whether what was read can be acted on. */
static int
check(const struct journal *journal, const char *name, const char *path, struct error *err)
{
	size_t len = strlen(str_or_empty(journal->uuid));

	if (len != strlen(name) - strlen(SUFFIX) || strncmp(journal->uuid, name, len) != 0)
		return error_set(err, 507, "the journal '%s' is of another VM ('%.64s')", path,
		    str_or_empty(journal->uuid));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_equal(journal->op, ops[i]))
			return 0;
	return error_set(err, 507, "the journal '%s' is of an unknown operation ('%.64s')", path,
	    str_or_empty(journal->op));
}

/* The file's text is the caller's, NULL where there is none. */
static int
load_text(const char *root, const char *host, const char *uuid, char **name, char **path,
    char **text, size_t *len, struct error *err)
{
	_close_ int dir = -1;
	bool absent;

	dir = open_place(root, host, uuid, false, &absent, name, path, err);
	*text = NULL;
	if (absent)
		return 0;
	return dir < 0 ? -1 : store_load(dir, *name, *path, text, len, err);
}

static int
parse(const char *text, size_t len, const char *name, const char *path, struct journal *journal,
    struct error *err)
{
	struct error why = { 0 };

	/* The 400 that the decoder gives is not the client's fault. */
	if (json_decode(&journal_model, text, len, journal, &why) < 0)
		error_set(err, 507, "the journal '%s' is malformed: %s", path, why.detail);
	else if (check(journal, name, path, err) == 0)
		return 0;
	else
		model_clear(&journal_model, journal);
	error_append(err,
	    "what the operation was about to do is lost, and the VM is left alone until the file "
	    "is removed by hand; what is left over is a problem then, which `virtx repair` shows");
	return -1;
}

int
journal_load(const char *root, const char *host, const char *uuid, struct journal *journal,
    struct error *err)
{
	_free_ char *name = NULL, *path = NULL, *text = NULL;
	size_t len;

	if (load_text(root, host, uuid, &name, &path, &text, &len, err) < 0)
		return -1;
	return text ? parse(text, len, name, path, journal, err) : 0;
}

bool
journal_is_damaged(const char *root, const char *host, const char *uuid, struct error *err)
{
	_free_ char *name = NULL, *path = NULL, *text = NULL;
	struct journal journal = { 0 };
	struct error ignored = { 0 };
	size_t len;

	if (load_text(root, host, uuid, &name, &path, &text, &len, &ignored) < 0 || !text)
		return false;
	if (parse(text, len, name, path, &journal, err) < 0)
		return true;
	model_clear(&journal_model, &journal);
	return false;
}

int
journal_remove(const char *root, const char *host, const char *uuid, struct error *err)
{
	_free_ char *name = NULL, *path = NULL;
	_close_ int dir = -1;
	bool absent;

	dir = open_place(root, host, uuid, false, &absent, &name, &path, err);
	if (absent)
		return 0;
	return dir < 0 ? -1 : store_remove(dir, name, path, err);
}

int
journal_find(const char *root, const char *uuid, char host[37], struct error *err)
{
	_free_ char(*hosts)[37] = NULL;
	char name[37 + sizeof(SUFFIX)], normal[37];
	size_t n = 0;

	host[0] = '\0';
	if (store_check(uuid, "VM", normal, err) < 0 || registry_hosts(root, &hosts, &n, err) < 0)
		return -1;
	snprintf(name, sizeof(name), "%s" SUFFIX, normal);
	for (size_t i = 0; i < n; i++) {
		_close_ int dir = -1;
		struct stat st;
		bool absent;

		dir = store_open(root, hosts[i], false, &absent, err);
		if (absent)
			continue;
		if (dir < 0)
			return -1;
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			memcpy(host, hosts[i], sizeof(hosts[i]));
			return 0;
		}
		if (errno != ENOENT)
			return error_errno(err, 507, errno, "cannot look for '%s/xml/%s/%s'", root,
			    hosts[i], name);
	}
	return 0;
}

int
journal_list(const char *root, const char *host, char (**ret)[37], size_t *n, struct error *err)
{
	_free_ char *path = NULL;
	_close_ int dir = -1;
	char normal[37];
	bool absent;

	if (store_check(host, "host", normal, err) < 0)
		return -1;
	path = xasprintf("%s/xml/%s", root, normal);
	dir = store_open(root, normal, false, &absent, err);
	if (absent) {
		*ret = NULL;
		*n = 0;
		return 0;
	}
	return dir < 0 ? -1 : store_list(dir, SUFFIX, path, ret, n, err);
}
