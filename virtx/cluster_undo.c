/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_undo.h"

#include <string.h>

#include "proto/crl.h"
#include "virtx/client.h"
#include "virtx/cluster_edit.h"

#define SHARED "/etc/pki/"   /* where others have certificates, too, by the same names */
#define OWN    "/etc/virtx/" /* where all is the cluster's */

static bool
is_below(const struct cluster_file *file, const char *folder)
{
	return strncmp(str_or_empty(file->path), folder, strlen(folder)) == 0;
}

/* What serf reads is made of what is not known here. It is ours by the place of its snapshot, or by
 * the key. */
static bool
is_serf_of_site(const struct cluster_site *site, const char *now)
{
	const char *key = str_or_empty(site->material.serf_encrypt);

	return strstr(now, "\"" CLUSTER_SNAPSHOT "\"") || (*key && strstr(now, key));
}

static bool
is_crl_of_site(const struct cluster_site *site, const char *now)
{
	_free_ char *crl = crl_take(now, str_or_empty(site->material.ca));

	return crl != NULL;
}

/* Whether it is what the site has, or a certificate or a CRL of its CA: an earlier one, perhaps,
 * where one was renewed that did not get here. */
static bool
is_of_site(const struct cluster_site *site, const struct cluster_file *file, const char *now)
{
	char *text = file->text(site);
	bool same = text && strcmp(text, now) == 0;

	pki_wipe(text);
	if (strcmp(file->path, CLUSTER_SERF_CONF) == 0)
		return is_serf_of_site(site, now);
	return same || (file->kind == KIND_CERTIFICATE &&
			   (pki_is_signed(now, str_or_empty(site->material.ca)) ||
			       is_crl_of_site(site, now)));
}

/* What is in a folder of ours, or has our name, is ours whatever it holds. */
static bool
is_ours(const struct cluster_site *site, const struct cluster_file *file, const char *now)
{
	return !is_below(file, SHARED) || is_of_site(site, file, now);
}

/* What was there before, unless that was ours as well, as a certificate that was renewed, or what a
 * cluster before this one has left. */
static int
find_old(const struct cluster_site *site, const struct cluster_file *file,
    struct cluster_undo_item *item, struct error *err)
{
	_free_ char *path = xasprintf("%s" CLUSTER_OLD, file->path);

	if (is_below(file, OWN))
		return 0;
	if (cluster_fs_read(site->root, path, &item->text, &item->mode, err) < 0)
		return -1;
	if (item->text && is_of_site(site, file, item->text))
		pki_wipe(steal_ptr(item->text));
	return 0;
}

/* What is left of a file of others without our settings: 1 where that is not the same, 0, or -1. */
static int
find_rest(const struct cluster_file *file, const char *now, struct cluster_undo_item *item,
    struct error *err)
{
	char *text = cluster_edit_undo(now, file->rule);
	int rc;

	if (!text)
		return error_set(err, CLIENT_ERROR_STATUS, "'%s': " CLUSTER_EDIT_LOST, file->path);
	rc = strcmp(text, now) != 0;
	if (rc > 0 && *text)
		item->text = steal_ptr(text);
	free(text);
	return rc;
}

/* 1 where there is something to be undone, 0, or -1. */
static int
look_at(const struct cluster_site *site, const struct cluster_file *file,
    struct cluster_undo_item *item, struct error *err)
{
	char *now = NULL;
	int rc = cluster_fs_read(site->root, file->path, &now, &item->mode, err);

	item->file = file;
	if (rc <= 0)
		return rc;
	if (file->kind == KIND_SETTINGS)
		rc = find_rest(file, now, item, err);
	else if ((rc = is_ours(site, file, now)) && find_old(site, file, item, err) < 0)
		rc = -1;
	pki_wipe(now);
	return rc;
}

/* Several rows may be of one file, each for a kind of host. */
static bool
has_item(const struct cluster_undo *undo, const struct cluster_file *file)
{
	for (size_t i = 0; i < undo->n_items; i++) {
		if (strcmp(undo->items[i].file->path, file->path) == 0)
			return true;
	}
	return false;
}

/* What names a file goes before it. */
int
cluster_undo_make(const struct cluster_site *site, struct cluster_undo *ret, struct error *err)
{
	*ret = (struct cluster_undo){ .items = xcalloc(cluster_files_n, sizeof(*ret->items)) };
	for (size_t i = cluster_files_n; i > 0; i--) {
		const struct cluster_file *file = &cluster_files[i - 1];
		int rc;

		if ((file->where & site->where) != site->where || has_item(ret, file))
			continue;
		rc = look_at(site, file, &ret->items[ret->n_items], err);
		if (rc < 0)
			return -1;
		ret->n_items += (size_t)rc;
	}
	return 0;
}

void
cluster_undo_clear(struct cluster_undo *undo)
{
	for (size_t i = 0; i < undo->n_items; i++)
		pki_wipe(undo->items[i].text);
	free(undo->items);
	*undo = (struct cluster_undo){ 0 };
}

void
cluster_undo_show(const struct cluster_undo *undo, FILE *out)
{
	for (size_t i = 0; i < undo->n_items; i++) {
		const struct cluster_undo_item *item = &undo->items[i];

		fprintf(out, "%s: %s\n", item->file->path,
		    !item->text				? "is removed"
		    : item->file->kind == KIND_SETTINGS ? "without what was written at its end"
							: "as it was before");
		if (item->text && item->file->kind == KIND_SETTINGS)
			cluster_edit_show(item->text, item->file->rule, "stays a comment", out);
	}
}

int
cluster_undo_apply(
    const struct cluster_site *site, const struct cluster_undo *undo, FILE *out, struct error *err)
{
	for (size_t i = 0; i < undo->n_items; i++) {
		const struct cluster_undo_item *item = &undo->items[i];
		const char *path = item->file->path;

		if ((item->text ? cluster_fs_write(
				      site->root, path, item->text, &item->mode, KEEP_NOTHING, err)
				: cluster_fs_remove(site->root, path, err)) < 0)
			return -1;
		fprintf(out, "%s: %s\n", item->text ? "written" : "removed", path);
	}
	return cluster_fs_remove(site->root, CLUSTER_SNAPSHOT, err);
}

/* Whether there is one that is neither gone nor what was there before: 1, 0, or -1. */
static int
is_replaced(const struct cluster_site *site, const char *path, const char *old, struct error *err)
{
	char *now = NULL, *before = NULL;
	int rc = cluster_fs_read(site->root, path, &now, NULL, err);

	if (rc > 0)
		rc = cluster_fs_read(site->root, old, &before, NULL, err);
	if (rc > 0)
		rc = strcmp(now, before) != 0;
	pki_wipe(now);
	pki_wipe(before);
	return rc;
}

/* What a write that was killed has left beside a file. */
static int
remove_passing(const struct cluster_site *site, const char *path, struct error *err)
{
	static const char *const suffixes[] = { CLUSTER_NEW, CLUSTER_OLD_PASSING };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_free_ char *passing = xasprintf("%s%s", path, suffixes[i]);

		if (cluster_fs_remove(site->root, passing, err) < 0)
			return -1;
	}
	return 0;
}

int
cluster_undo_tidy(const struct cluster_site *site, struct error *err)
{
	for (size_t i = 0; i < cluster_files_n; i++) {
		const struct cluster_file *file = &cluster_files[i];
		_free_ char *old = xasprintf("%s" CLUSTER_OLD, file->path);
		int rc = 0;

		if ((file->where & site->where) != site->where)
			continue;
		if (remove_passing(site, file->path, err) < 0)
			return -1;
		if (is_below(file, SHARED))
			rc = is_replaced(site, file->path, old, err);
		if (rc == 0)
			rc = cluster_fs_remove(site->root, old, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}
