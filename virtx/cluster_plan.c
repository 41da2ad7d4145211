/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_plan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/uuid.h"
#include "virtx/client.h"
#include "virtx/cluster_edit.h"
#include "virtx/cluster_fs.h"

#define NOTE  "/etc/virtx/cluster-pending" /* struct cluster_note, as numbers */
#define STATE "/var/lib/virtx"		   /* serf's snapshot is there */
#define PKI   "/etc/pki/"		   /* of libvirt and QEMU */

/* The mode that a file is going to have: settings leave that of a file which is there. */
static struct file_mode
mode_of(const struct cluster_site *site, const struct cluster_file *file, bool there,
    const struct file_mode *is)
{
	if (there && file->kind == KIND_SETTINGS)
		return *is;
	return (struct file_mode){ file->mode, 0, cluster_files_gid(site, file->owner) };
}

/* A host's own modes are kept to; a folder that stands for it may be anybody's. */
static bool
has_mode(const struct cluster_site *site, const struct file_mode *is, const struct file_mode *want)
{
	return is->mode == want->mode &&
	       (*site->root_path || (is->uid == want->uid && is->gid == want->gid));
}

/* What the file is going to hold; NULL where the host is to have none. Or -1. */
static int
wanted_text(const struct cluster_site *site, const struct cluster_file *file, const char *is,
    char **ret, bool *ret_same, struct error *err)
{
	char *settings;

	*ret_same = false;
	*ret = NULL;
	if ((file->where & site->where) != site->where)
		return 0;
	*ret = file->text(site);
	if (!*ret || file->kind != KIND_SETTINGS)
		return 0;
	settings = *ret;
	/* What is not to be said is not said by a file that is not there. */
	if (!*settings && !is) {
		free(steal_ptr(*ret));
		return 0;
	}
	*ret = cluster_edit_set(str_or_empty(is), settings, file->rule);
	*ret_same = cluster_edit_says(str_or_empty(is), settings, file->rule);
	pki_wipe(settings);
	if (!*ret)
		return error_set(err, CLIENT_ERROR_STATUS, "'%s': " CLUSTER_EDIT_LOST, file->path);
	return 0;
}

/* 1 where it is to change, 0, or -1. */
static int
compare(const struct cluster_site *site, const struct cluster_file *file,
    struct cluster_change *ret, struct error *err)
{
	struct file_mode is = { 0 }, want;
	char *now = NULL, *text = NULL;
	int there = cluster_fs_read(site->root, file->path, &now, &is, err);
	bool same;
	int rc;

	if (there < 0)
		return -1;
	rc = wanted_text(site, file, now, &text, &same, err);
	want = mode_of(site, file, there, &is);
	if (text && (!there || strcmp(now, text) != 0 || !has_mode(site, &is, &want))) {
		*ret = (struct cluster_change){
			.file = file, .text = text, .there = there, .same = same
		};
		ret->mode_only = there && strcmp(now, text) == 0;
		text = NULL;
		rc = 1;
	}
	pki_wipe(text);
	pki_wipe(now);
	return rc;
}

/* What the change has to be followed by. */
static unsigned int
parts_of(const struct cluster_site *site, const struct cluster_change *change)
{
	if (change->mode_only)
		return 0;
	if (change->same)
		return cluster_site_other_group(site) ? change->file->parts & PART_SANLOCK : 0;
	return change->file->parts;
}

/* Which files are compared. */
enum plan_scope {
	PLAN_ALL,
	PLAN_CERTIFICATES,
	PLAN_CA_KEY,
	PLAN_OWN,
};

static bool
is_in(enum plan_scope scope, const struct cluster_file *file)
{
	static const char *const ca_key[] = { CLUSTER_CA_KEY, CLUSTER_VIRTXD_CONF };

	if (scope == PLAN_ALL || file->kind == KIND_CERTIFICATE)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ca_key) && scope == PLAN_CA_KEY; i++) {
		if (strcmp(file->path, ca_key[i]) == 0)
			return true;
	}
	return scope == PLAN_OWN && (strcmp(file->path, CLUSTER_HOST_KEY) == 0 ||
					strncmp(file->path, PKI, strlen(PKI)) == 0);
}

static int
make_plan(const struct cluster_site *site, enum plan_scope scope, struct cluster_plan *ret,
    struct error *err)
{
	/* All else that is left is for who compares all files. */
	static const unsigned int left[] = { ~(PART_FILES | PART_SOME), PART_TLS,
		PART_TLS | PART_VIRTXD, PART_TLS };
	struct cluster_note note;

	*ret = (struct cluster_plan){ .items = xcalloc(cluster_files_n, sizeof(*ret->items)) };
	for (size_t i = 0; i < cluster_files_n; i++) {
		const struct cluster_file *file = &cluster_files[i];
		int rc;

		if (!is_in(scope, file))
			continue;
		rc = compare(site, file, &ret->items[ret->n_items], err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			continue;
		ret->parts |= parts_of(site, &ret->items[ret->n_items]);
		ret->n_items++;
	}
	if (cluster_plan_noted(site, &note, err) < 0)
		return -1;
	if (scope == PLAN_ALL) {
		ret->files = PART_FILES | PART_SOME;
		/* Who writes all files does not leave any more. */
		ret->ends = PART_LEAVE | PART_BACK;
	} else if (scope != PLAN_CERTIFICATES) {
		ret->files = PART_SOME;
	}
	ret->parts |= note.parts & left[scope];
	/* A host that was about to leave has stopped them. */
	if (ret->parts & PART_LEAVE)
		ret->parts |= PART_LIBVIRT | PART_SERF | PART_VIRTXD;
	return 0;
}

int
cluster_plan_make(const struct cluster_site *site, struct cluster_plan *ret, struct error *err)
{
	return make_plan(site, PLAN_ALL, ret, err);
}

int
cluster_plan_make_certificates(
    const struct cluster_site *site, struct cluster_plan *ret, struct error *err)
{
	return make_plan(site, PLAN_CERTIFICATES, ret, err);
}

int
cluster_plan_make_ca_key(
    const struct cluster_site *site, struct cluster_plan *ret, struct error *err)
{
	return make_plan(site, PLAN_CA_KEY, ret, err);
}

int
cluster_plan_make_own(const struct cluster_site *site, struct cluster_plan *ret, struct error *err)
{
	return make_plan(site, PLAN_OWN, ret, err);
}

void
cluster_plan_clear(struct cluster_plan *plan)
{
	for (size_t i = 0; i < plan->n_items; i++)
		pki_wipe(plan->items[i].text);
	free(plan->items);
	*plan = (struct cluster_plan){ 0 };
}

/* The site as it may be shown: what has no secret in it cannot show one. */
static struct cluster_site
shown_site(const struct cluster_site *site, char *hidden, char *certificate)
{
	struct cluster_site shown = *site;
	struct cluster_material *material = &shown.material;

	*material = (struct cluster_material){ 0 };
	material->ca = certificate;
	material->ca_key = site->material.ca_key ? hidden : NULL;
	material->crl = certificate;
	material->host_key = hidden;
	material->host_certificate = certificate;
	material->qemu_key = hidden;
	material->qemu_certificate = certificate;
	material->serf_rpc = hidden;
	material->serf_encrypt = hidden;
	return shown;
}

static void
show_change(const struct cluster_site *shown, const struct cluster_change *change, FILE *out)
{
	const struct cluster_file *file = change->file;
	_free_ char *text = file->text(shown);

	if (change->mode_only)
		fprintf(out, "%s: mode %04o\n", file->path, file->mode);
	else if (file->kind != KIND_SETTINGS)
		fprintf(out, "%s (mode %04o%s):\n", file->path, file->mode,
		    change->there ? ", instead of what is there" : "");
	else if (!*text)
		fprintf(out, "%s (without %s):\n", file->path, file->rule->never);
	else
		fprintf(out, "%s (%s):\n", file->path,
		    change->there ? "at its end, and what says something else becomes a comment"
				  : "a new file");
	if (file->kind == KIND_SETTINGS)
		cluster_edit_show(change->text, file->rule, "a comment", out);
	for (const char *at = text; *at && !change->mode_only;) {
		int len = (int)strcspn(at, "\n");

		fprintf(out, "    %.*s\n", len, at);
		at += len + (at[len] == '\n');
	}
}

int
cluster_plan_show(const struct cluster_site *site, FILE *out, struct error *err)
{
	char hidden[] = "(secret)", certificate[] = "(a certificate)";
	struct cluster_site shown = shown_site(site, hidden, certificate);
	struct cluster_plan plan;
	int rc = cluster_plan_make(site, &plan, err);

	for (size_t i = 0; rc == 0 && i < plan.n_items; i++)
		show_change(&shown, &plan.items[i], out);
	cluster_plan_clear(&plan);
	return rc;
}

static int
write_change(
    const struct cluster_site *site, const struct cluster_change *change, struct error *err)
{
	const struct cluster_file *file = change->file;
	struct file_mode is = { 0 }, mode;
	char *now = NULL;
	int there = cluster_fs_read(site->root, file->path, &now, &is, err);

	pki_wipe(now);
	if (there < 0)
		return -1;
	mode = mode_of(site, file, there > 0, &is);
	/* One that is written anew would leave the old one behind. */
	if (change->mode_only)
		return cluster_fs_set_mode(site->root, file->path, &mode, err);
	return cluster_fs_write(site->root, file->path, change->text, &mode, KEEP_FIRST, err);
}

int
cluster_plan_write(
    const struct cluster_site *site, const struct cluster_plan *plan, struct error *err)
{
	if (plan->n_items > 0 && (cluster_plan_note(site, (plan->parts | plan->files) & ~plan->ends,
				      plan->ends, err) < 0 ||
				     cluster_fs_make_folder(site->root, STATE, 0755, err) < 0))
		return -1;
	for (size_t i = 0; i < plan->n_items; i++) {
		if (write_change(site, &plan->items[i], err) == 0)
			continue;
		for (size_t k = i; k < plan->n_items; k++)
			error_append(err, "%s'%s'", k == i ? "not written: " : "",
			    plan->items[k].file->path);
		return -1;
	}
	return cluster_plan_note(site, 0, plan->files, err);
}

int
cluster_plan_note(
    const struct cluster_site *site, unsigned int begun, unsigned int done, struct error *err)
{
	static const struct file_mode mode = { 0644, 0, 0 };
	_free_ char *text = NULL;
	struct cluster_note note;

	if (cluster_plan_noted(site, &note, err) < 0)
		return -1;
	if (begun & PART_SANLOCK)
		note.sanlock_gid = site->sanlock_gid;
	/* What it is known by goes with its files. */
	if (begun & PART_LEAVE)
		memcpy(note.uuid, site->uuid, sizeof(note.uuid));
	note.parts = (note.parts | begun) & ~done;
	if (note.parts == 0)
		return cluster_fs_remove(site->root, NOTE, err);
	text = xasprintf("%u %u%s%s\n", note.parts, note.sanlock_gid,
	    note.parts & PART_LEAVE ? " " : "", note.parts & PART_LEAVE ? note.uuid : "");
	return cluster_fs_write(site->root, NOTE, text, &mode, KEEP_NOTHING, err);
}

int
cluster_plan_noted(const struct cluster_site *site, struct cluster_note *ret, struct error *err)
{
	_free_ char *text = NULL;
	char *end;

	*ret = (struct cluster_note){ 0 };
	if (cluster_fs_read(site->root, NOTE, &text, NULL, err) < 0)
		return -1;
	if (text) {
		ret->parts = (unsigned int)strtoul(text, &end, 10);
		ret->sanlock_gid = (gid_t)strtoul(end, &end, 10);
		end += strspn(end, " ");
		end[strcspn(end, "\n")] = '\0';
		if (uuid_normalize(end, ret->uuid) < 0)
			ret->uuid[0] = '\0';
	}
	return 0;
}
