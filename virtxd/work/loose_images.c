/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/loose_images.h"

#include <string.h>
#include <sys/stat.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "domain/domain_files.h"
#include "proto/vmdef.h"
#include "work/orphans.h"

#define FOUND_MAX  1000
#define IMAGES_MAX 200000
/* Whoever makes an image has this long to say that it is a VM's. */
#define AGE_MS (5 * 60 * 1000)

/* An image that another one stands on. */
struct base {
	char *path, *above;
};

struct search {
	const struct work_env *env;
	struct base *bases; /* sorted by path */
	size_t n_bases;
	struct reconcile_result *res;
	char **used; /* paths, sorted */
	size_t n_used;
	char (*leases)[LEASE_NAME_SIZE]; /* sorted */
	size_t n_leases;
	size_t n_found;
};

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* What the VM's definition names; one that has just moved or gone names nothing here. */
static int
use_files(struct search *search, const struct registry_entry *entry, struct error *err)
{
	_free_ char *xml = NULL;
	struct domain_file *files = NULL;
	size_t n = 0;

	if (registry_load(search->env->root, entry->host, entry->uuid, &xml, err) < 0)
		return -1;
	if (!xml)
		return 0;
	if (domain_files_read(xml, &files, &n, err) < 0)
		return error_wrap(err, "VM '%s' in the registry", entry->uuid);
	for (size_t i = 0; i < n; i++)
		*model_append(&search->used, &search->n_used) = xstrdup(files[i].path);
	domain_files_free(files, n);
	return 0;
}

/* libvirt gives a snapshot that is not named the snapshot's name for a suffix: it is known by what
 * it stands on. */
static bool
is_image(const char *root, const char *path)
{
	const char *dot = strrchr(path, '.');
	_free_ char *base = NULL;
	struct error ignored = { 0 };

	return (dot && (strcmp(dot, ".qcow2") == 0 || strcmp(dot, ".raw") == 0)) ||
	       (image_base(root, path, &base, &ignored) == 0 && base);
}

static bool
is_leased(const struct search *search, const char *path)
{
	struct error ignored = { 0 };
	char name[LEASE_NAME_SIZE];

	if (search->n_leases == 0 ||
	    orphan_image_lease(search->env->root, path, name, &ignored) < 0)
		return false;
	return bsearch(name, search->leases, search->n_leases, sizeof(search->leases[0]),
		   compare_names) != NULL;
}

static int
compare_bases(const void *a, const void *b)
{
	return strcmp(((const struct base *)a)->path, ((const struct base *)b)->path);
}

static void
add_base(const char *path, void *arg)
{
	struct search *search = arg;
	struct error ignored = { 0 };
	char *base = NULL;

	if (image_base(search->env->root, path, &base, &ignored) == 0 && base)
		*model_append(&search->bases, &search->n_bases) =
		    (struct base){ base, xstrdup(path) };
}

/* What speaks against deleting it, or what can be done; the caller's. What a definition of
 * libvirt's has, on whichever host, may be in no registry: a snapshot that others have made. */
static char *
advise(const struct search *search, const char *path)
{
	const struct base wanted = { .path = (char *)path }, *above = NULL;
	struct error ignored = { 0 };
	_free_ char *base = NULL;

	if (search->n_bases > 0)
		above = bsearch(
		    &wanted, search->bases, search->n_bases, sizeof(*search->bases), compare_bases);
	if (above)
		return xasprintf(
		    "image '%s' stands on it, and is of no use without it", above->above);
	if (image_base(search->env->root, path, &base, &ignored) == 0 && base)
		return xasprintf("it stands on '%s', and may be a snapshot that VirtX did not "
				 "make, with what a VM has written since",
		    base);
	return xstrdup("delete it by hand, or let a VM claim it");
}

static void
look_at(const char *path, void *arg)
{
	struct search *search = arg;
	_free_ char *advice = NULL;
	struct host_problem *problem;
	struct error ignored = { 0 };
	struct stat st;

	if (search->n_found == FOUND_MAX || is_leased(search, path) ||
	    (search->n_used > 0 && bsearch(&path, search->used, search->n_used,
				       sizeof(search->used[0]), compare_paths)) ||
	    !is_image(search->env->root, path))
		return;
	if (image_stat(search->env->root, path, &st, &ignored) < 0 ||
	    now_ms() - ((int64_t)st.st_mtim.tv_sec * 1000) < AGE_MS)
		return;
	search->n_found++;
	problem = model_append(&search->res->problems, &search->res->n_problems);
	problem->kind = xstrdup(LOOSE_IMAGE);
	problem->vm = xstrdup("");
	problem->path = xstrdup(path);
	advice = advise(search, path);
	problem->detail = xasprintf("no VM of the registry has the image (%lld MiB), and it has no "
				    "lease: %s",
	    (long long)(((int64_t)st.st_blocks * 512) >> 20), advice);
}

static int
find(struct search *search, const struct registry_entry *entries, size_t n, struct error *err)
{
	bool complete;

	for (size_t i = 0; i < n; i++) {
		if (use_files(search, &entries[i], err) < 0)
			return -1;
	}
	if (search->n_used > 0)
		qsort(search->used, search->n_used, sizeof(search->used[0]), compare_paths);
	if (lease_list(search->env->root, &search->leases, &search->n_leases, err) < 0)
		return -1;
	if (search->n_leases > 0)
		qsort(search->leases, search->n_leases, sizeof(search->leases[0]), compare_names);
	if (image_walk(search->env->root, IMAGES_MAX, add_base, search, &complete, err) < 0)
		return -1;
	if (search->n_bases > 0)
		qsort(search->bases, search->n_bases, sizeof(*search->bases), compare_bases);
	return image_walk(search->env->root, IMAGES_MAX, look_at, search, &complete, err);
}

int
loose_images_find(const struct work_env *env, const struct registry_entry *entries, size_t n,
    struct reconcile_result *res, struct error *err)
{
	struct search search = { .env = env, .res = res };
	int r = find(&search, entries, n, err);

	for (size_t i = 0; i < search.n_used; i++)
		free(search.used[i]);
	for (size_t i = 0; i < search.n_bases; i++) {
		free(search.bases[i].path);
		free(search.bases[i].above);
	}
	free(search.used);
	free(search.bases);
	free(search.leases);
	return r;
}
