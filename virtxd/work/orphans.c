/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/orphans.h"

#include <string.h>
#include <sys/stat.h>

#include "disk/image.h"
#include "disk/lease.h"
#include "disk/nvram.h"
#include "domain/domain_files.h"
#include "domain/domain_xml.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"
#include "work/vm_presence.h"

/* Whoever makes something on the storage has this long to write down that it is a VM's, whatever
 * the clocks say. */
#define AGE_MS	   (5 * 60 * 1000)
#define FOUND_MAX  1000
#define IMAGES_MAX 200000

/* One search. */
struct search {
	const struct reconcile_request *req;
	virConnectPtr conn;
	const struct orphan_knowledge *knowledge;
	struct reconcile_result *res;
	char (*vms)[UUID_TEXT_SIZE]; /* registered anywhere, sorted */
	size_t n_vms;
	size_t first;	/* of res->problems that is an orphan */
	bool image_due; /* a lease is new whose image is not known */
	struct error error;
};

static int
compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool
problem_is_orphan(const struct host_problem *problem)
{
	return str_equal(problem->kind, ORPHAN_LEASE) || str_equal(problem->kind, ORPHAN_IMAGE) ||
	       str_equal(problem->kind, ORPHAN_LEFTOVER) || str_equal(problem->kind, ORPHAN_NVRAM);
}

const char *
orphan_lease_name(const struct host_problem *problem)
{
	const char *slash = strrchr(str_or_empty(problem->path), '/');

	return slash ? slash + 1 : "";
}

int
orphan_image_lease(const char *root, const char *path, char name[49], struct error *err)
{
	struct disk disk = { .path = (char *)path };

	return disk_resource_name(&disk, root, name, err);
}

static void
add(struct search *search, const char *kind, const char *vm, const char *path, char *detail)
{
	struct reconcile_result *res = search->res;
	struct host_problem *problem;

	if (res->n_problems - search->first >= FOUND_MAX) {
		free(detail);
		return;
	}
	problem = model_append(&res->problems, &res->n_problems);
	problem->kind = xstrdup(kind);
	problem->vm = xstrdup(vm);
	problem->path = xstrdup(path);
	problem->detail = detail;
}

static const struct host_problem *
find_path(const struct host_problem *problems, size_t n, const char *kind, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		if (str_equal(problems[i].kind, kind) && str_equal(problems[i].path, path))
			return &problems[i];
	}
	return NULL;
}

static bool
is_recent(int64_t ms)
{
	return now_ms() - ms < AGE_MS;
}

static bool
is_young(const struct stat *st)
{
	return is_recent((int64_t)st->st_mtim.tv_sec * 1000);
}

/* Whether a VM of that uuid is anywhere. */
static int
exists(struct search *search, const char *uuid, bool *ret, struct error *err)
{
	*ret = search->n_vms > 0 && bsearch(uuid, search->vms, search->n_vms,
					sizeof(search->vms[0]), compare_text) != NULL;
	return *ret ? 0 : vm_presence(&search->req->env, search->conn, uuid, ret, err);
}

/* Names of leases; the array is the owner's. */
struct names {
	char (*names)[LEASE_NAME_SIZE];
	size_t n;
};

static bool
has_name(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->names[i], name) == 0)
			return true;
	}
	return false;
}

/* The leases that the domain has, and in *below those of the files that its disks stand on. */
static int
read_names(virDomainPtr domain, unsigned int flags, const char *root, struct names *own,
    struct names *below, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, flags);
	struct domain_file *files = NULL;
	struct error ignored = { 0 };
	size_t n = 0;

	if (!xml)
		return hypervisor_error(
		    err, 424, "cannot read the definition of VM '%s'", virDomainGetName(domain));
	if (domain_xml_lease_names(xml, &own->names, &own->n, err) < 0)
		return -1;
	if (!below)
		return 0;
	if (domain_files_read(xml, &files, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char name[LEASE_NAME_SIZE];

		if (files[i].below && files[i].kind == DOMAIN_FILE_DATA &&
		    orphan_image_lease(root, files[i].path, name, &ignored) == 0)
			memcpy(*model_append(&below->names, &below->n), name, sizeof(name));
	}
	domain_files_free(files, n);
	return 0;
}

int
orphans_is_named(virDomainPtr domain, const char *lease, bool *ret, struct error *err)
{
	struct names own = { 0 };
	int r = read_names(domain, VIR_DOMAIN_XML_INACTIVE, NULL, &own, NULL, err);

	*ret = r == 0 && has_name(&own, lease);
	free(own.names);
	return r;
}

static void
expect(struct orphan_knowledge *knowledge, const char *vm, const char *lease, bool comes_and_goes)
{
	struct orphan_expected expected = { .comes_and_goes = comes_and_goes };

	memcpy(expected.vm, vm, sizeof(expected.vm));
	memcpy(expected.lease, lease, sizeof(expected.lease));
	*model_append(&knowledge->expected, &knowledge->n_expected) = expected;
}

static void
expect_disks(struct orphan_knowledge *knowledge, const struct names *own, const char *root,
    const char *vm, const struct vmdef *def)
{
	_free_ char *seed = xasprintf("%s/ds/ci/%s/seed.iso", root, vm);
	const struct disk cloud_init = { .path = seed };
	const struct disk *disk = &cloud_init;
	char lease[LEASE_NAME_SIZE] = "";
	struct error ignored = { 0 };

	/* The cloud-init CD comes and goes without the definition; the lease of the VM itself is
	 * there before and after it is named. */
	for (size_t i = 0; disk; disk = vmdef_disk(def, i++)) {
		char name[LEASE_NAME_SIZE];

		if ((disk == &cloud_init || disk->man == DISK_MAN_MODE_MANAGED) &&
		    disk_resource_name(disk, root, name, &ignored) == 0)
			expect(knowledge, vm, name, disk == &cloud_init || !has_name(own, name));
	}
	vm_lease_name(vm, lease);
	expect(knowledge, vm, lease, !has_name(own, lease));
}

int
orphans_expect(struct orphan_knowledge *knowledge, virDomainPtr domain, const char *root,
    const char *vm, const struct vmdef *def, struct error *err)
{
	struct names own = { 0 }, running = { 0 }, below = { 0 };
	int r = read_names(domain, VIR_DOMAIN_XML_INACTIVE, root, &own, &below, err);

	if (r == 0)
		r = read_names(domain, 0, root, &running, &below, err);
	if (r == 0)
		expect_disks(knowledge, &own, root, vm, def);
	for (size_t i = 0; r == 0 && i < own.n; i++)
		expect(knowledge, vm, own.names[i], true);
	for (size_t i = 0; r == 0 && i < running.n; i++)
		expect(knowledge, vm, running.names[i], true);
	for (size_t i = 0; r == 0 && i < below.n; i++)
		expect(knowledge, vm, below.names[i], true);
	free(own.names);
	free(running.names);
	free(below.names);
	return r;
}

bool
orphans_is_expected(
    const struct orphan_knowledge *knowledge, const char *vm, const char *lease, bool *told)
{
	*told = false;
	for (size_t i = 0; i < knowledge->n_expected; i++) {
		if (strcmp(knowledge->expected[i].vm, vm) != 0)
			continue;
		*told = true;
		if (strcmp(knowledge->expected[i].lease, lease) == 0)
			return true;
	}
	return false;
}

bool
orphans_is_anyones(const struct orphan_knowledge *knowledge, const char *lease)
{
	for (size_t i = 0; i < knowledge->n_expected; i++) {
		if (strcmp(knowledge->expected[i].lease, lease) == 0)
			return true;
	}
	return false;
}

/* A VM of this host has given its disk up, and not its lease. One whose operation is not over may
 * be about to. */
static bool
is_stale(const struct search *search, const char *vm, const char *lease)
{
	bool told;

	for (size_t i = 0; i < search->res->n_unfinished; i++) {
		if (str_equal(search->res->unfinished[i].uuid, vm))
			return false;
	}
	return !orphans_is_expected(search->knowledge, vm, lease, &told) && told;
}

static int
look_at_lease(struct search *search, const char *name, struct error *err)
{
	const char *root = search->req->env.root;
	_free_ char *dir = xasprintf("%s/lock/%s", root, name);
	_free_ char *path = lease_path(root, name);
	struct error cause = { 0 };
	struct stat st;
	char owner[37];
	bool found = false, there;

	if (find_path(search->res->problems + search->first,
		search->res->n_problems - search->first, ORPHAN_LEASE, path) ||
	    find_path(search->res->problems + search->first,
		search->res->n_problems - search->first, ORPHAN_STALE, path))
		return 0;
	if (lease_look_up(root, name, &there, owner, &cause) == 0 && !there)
		return 0;
	/* The owner is read before the VM is looked for: see vm_presence(). */
	if (owner[0] && exists(search, owner, &found, err) < 0)
		return -1;
	if ((found && !is_stale(search, owner, name)) || stat(dir, &st) < 0 || is_young(&st))
		return 0;
	if (found) {
		add(search, ORPHAN_STALE, owner, path,
		    xasprintf("the lease belongs to VM '%s', which has no such disk", owner));
		return 0;
	}
	/* A damaged one of a VM of this host is told as such. */
	if (!owner[0] && orphans_is_anyones(search->knowledge, name))
		return 0;
	if (!owner[0]) {
		add(search, ORPHAN_LEASE, "", path,
		    xasprintf("it belongs to nobody: %s",
			cause.status ? cause.detail : "no VM is written in it"));
		return 0;
	}
	add(search, ORPHAN_LEASE, owner, path,
	    xasprintf("the lease belongs to VM '%s', which no host has registered", owner));
	search->image_due |=
	    !find_path(search->req->known, search->req->n_known, ORPHAN_LEASE, path);
	return 0;
}

/* All that were told last, and the next ones of all. */
static int
look_at_leases(struct search *search, struct error *err)
{
	const struct reconcile_request *req = search->req;
	_free_ char(*names)[LEASE_NAME_SIZE] = NULL;
	size_t n = 0, limit, start = 0;

	if (lease_list(req->env.root, &names, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < req->n_known; i++) {
		if ((str_equal(req->known[i].kind, ORPHAN_LEASE) ||
			str_equal(req->known[i].kind, ORPHAN_STALE)) &&
		    look_at_lease(search, orphan_lease_name(&req->known[i]), err) < 0)
			return -1;
	}
	if (n > 0)
		qsort(names, n, sizeof(names[0]), compare_text);
	limit = req->limit > 0 && (size_t)req->limit < n ? (size_t)req->limit : n;
	while (limit < n && start < n && strcmp(names[start], str_or_empty(req->cursor)) <= 0)
		start++;
	for (size_t i = 0; i < limit; i++) {
		if (look_at_lease(search, names[(start + i) % n], err) < 0)
			return -1;
	}
	str_set(&search->res->cursor, limit < n ? names[(start + limit - 1) % n] : "");
	return 0;
}

static int
look_at_half_leases(struct search *search, struct error *err)
{
	const char *root = search->req->env.root;
	_free_ struct lease_leftover *leftovers = NULL;
	size_t n = 0;

	if (lease_list_leftovers(root, &leftovers, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_free_ char *path = lease_leftover_path(root, &leftovers[i]);
		struct stat st;
		bool found;

		if (stat(path, &st) < 0 || is_young(&st))
			continue;
		/* One of a VM that is there is its next operation's, or its journal's. */
		if (exists(search, leftovers[i].uuid, &found, err) < 0)
			return -1;
		if (!found)
			add(search, ORPHAN_LEFTOVER, leftovers[i].uuid, path,
			    xasprintf("a half-%s lease of VM '%s', which no host has registered",
				leftovers[i].deleted ? "deleted" : "made", leftovers[i].uuid));
	}
	return 0;
}

static int
look_at_half_image(struct search *search, const char *path, const char *uuid, struct error *err)
{
	struct error cause = { 0 };
	struct stat st;
	bool found;

	if (image_stat(search->req->env.root, path, &st, &cause) < 0 || is_young(&st))
		return 0;
	if (exists(search, uuid, &found, err) < 0)
		return -1;
	if (!found)
		add(search, ORPHAN_LEFTOVER, uuid, path,
		    xasprintf("a half-made image of VM '%s', which no host has registered", uuid));
	return 0;
}

/* Is it the image of one of the leases that were found? */
static void
look_at_whole_image(struct search *search, const char *path)
{
	struct reconcile_result *res = search->res;
	struct error ignored = { 0 };
	char name[49];

	if (res->n_problems == search->first ||
	    orphan_image_lease(search->req->env.root, path, name, &ignored) < 0)
		return;
	for (size_t i = search->first; i < res->n_problems; i++) {
		const struct host_problem *problem = &res->problems[i];

		if (!str_equal(problem->kind, ORPHAN_LEASE) || str_empty(problem->vm) ||
		    strcmp(orphan_lease_name(problem), name) != 0)
			continue;
		add(search, ORPHAN_IMAGE, problem->vm, path,
		    xasprintf(
			"the image belongs to VM '%s', which no host has registered", problem->vm));
		return;
	}
}

static void
look_at_image(const char *path, void *arg)
{
	struct search *search = arg;
	char uuid[37];

	if (search->error.status)
		return;
	if (!image_staged(path, uuid))
		look_at_whole_image(search, path);
	else
		(void)look_at_half_image(search, path, uuid, &search->error);
}

static int
look_at_images(struct search *search, struct error *err)
{
	const struct reconcile_request *req = search->req;
	bool complete;

	if (req->deep || search->image_due) {
		if (image_walk(req->env.root, IMAGES_MAX, look_at_image, search, &complete, err) <
		    0)
			return -1;
	}
	for (size_t i = 0; i < req->n_known && !req->deep && !search->image_due; i++) {
		const char *path = str_or_empty(req->known[i].path);
		struct error cause = { 0 };
		struct stat st;

		if ((str_equal(req->known[i].kind, ORPHAN_IMAGE) ||
			str_equal(req->known[i].kind, ORPHAN_LEFTOVER)) &&
		    image_stat(req->env.root, path, &st, &cause) == 0)
			look_at_image(path, search);
	}
	if (!search->error.status)
		return 0;
	*err = search->error;
	return -1;
}

static int
look_at_variables(struct search *search, struct error *err)
{
	const char *root = search->req->env.root;
	_free_ char(*vms)[UUID_TEXT_SIZE] = NULL;
	size_t n = 0;

	if (nvram_list(root, &vms, &n, err) < 0)
		return -1;
	if (n > 0)
		qsort(vms, n, sizeof(vms[0]), compare_text);
	for (size_t i = 0; i < n; i++) {
		_free_ char *path = nvram_path(root, vms[i]);
		bool found;

		if (i > 0 && strcmp(vms[i], vms[i - 1]) == 0)
			continue;
		if (exists(search, vms[i], &found, err) < 0)
			return -1;
		if (!found && !is_recent(nvram_changed(root, vms[i])))
			add(search, ORPHAN_NVRAM, vms[i], path,
			    xasprintf(
				"UEFI variables of VM '%s', which no host has registered", vms[i]));
	}
	return 0;
}

int
orphans_find(const struct reconcile_request *req, virConnectPtr conn,
    const struct orphan_knowledge *knowledge, struct reconcile_result *res, struct error *err)
{
	const size_t n = knowledge->n_entries;
	struct search search = {
		.req = req,
		.conn = conn,
		.knowledge = knowledge,
		.res = res,
		.first = res->n_problems,
	};
	_free_ char(*vms)[UUID_TEXT_SIZE] = xcalloc(n + 1, sizeof(*vms));

	for (size_t i = 0; i < n; i++)
		memcpy(vms[i], knowledge->entries[i].uuid, sizeof(vms[i]));
	qsort(vms, n, sizeof(*vms), compare_text);
	search.vms = vms;
	search.n_vms = n;
	if (look_at_leases(&search, err) < 0 || look_at_half_leases(&search, err) < 0 ||
	    look_at_variables(&search, err) < 0)
		return -1;
	return look_at_images(&search, err);
}
