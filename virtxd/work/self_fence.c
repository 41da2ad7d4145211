/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs that run here without their leases, and the end of those that virtxd has told to end. A
 * VM that stands still has none by libvirt's doing, and takes them before its CPUs run again, as it
 * does when it starts and when it has come from another host.
 */
#include "work/works.h"

#include <string.h>

#include "disk/lease.h"
#include "disk/process.h"
#include "domain/domain_xml.h"
#include "proto/log.h"
#include "work/hypervisor.h"
#include "work/libvirt_files.h"
#include "work/vm_process.h"

#define UNKNOWN_MAX 3 /* VMs; each is asked for again for a while, and the work has a deadline */

/* What is known of a VM that is on, while libvirt's own files of it are the same. */
struct guarded {
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct libvirt_files files;
	char (*names)[LEASE_NAME_SIZE]; /* of its leases */
	size_t n_names;
	pid_t pid;
	int64_t start; /* of that process */
	bool seen;     /* it is still on */
};

/* Kept in a resident process. */
static struct guarded *guarded;
static size_t n_guarded;
static unsigned int connection; /* its libvirt's */

enum held {
	HELD,	 /* or nothing that could be told */
	LOOSE,	 /* it runs, and sanlock does not keep its leases */
	UNKNOWN, /* sanlock does not answer */
};

static struct guarded *
need_guarded(const char *uuid)
{
	struct guarded *entry;

	for (size_t i = 0; i < n_guarded; i++) {
		if (strcmp(guarded[i].uuid, uuid) == 0)
			return &guarded[i];
	}
	entry = model_append(&guarded, &n_guarded);
	memcpy(entry->uuid, uuid, sizeof(entry->uuid));
	return entry;
}

/* Those that are not on any more; all: the rest, too. */
static void
drop_guarded(bool all)
{
	size_t n = 0;

	for (size_t i = 0; i < n_guarded; i++) {
		if (!all && guarded[i].seen) {
			guarded[i].seen = false;
			guarded[n++] = guarded[i];
		} else {
			free(guarded[i].names);
		}
	}
	n_guarded = n;
}

/* False where it has ended, or libvirt does not tell its process or its leases. */
static bool
read_domain(virDomainPtr domain, struct guarded *entry)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, 0);
	struct error ignored = { 0 };

	free(entry->names);
	entry->names = NULL;
	entry->n_names = 0;
	entry->files.known = false;
	if (!xml || domain_xml_lease_names(xml, &entry->names, &entry->n_names, &ignored) < 0 ||
	    vm_process_find(domain, &entry->pid, &ignored) != 0)
		return false;
	entry->start = process_start(entry->pid);
	return entry->start >= 0;
}

static bool
runs(virDomainPtr domain)
{
	int state = VIR_DOMAIN_NOSTATE, reason;

	return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_RUNNING;
}

/* *why is the caller's where it is loose. */
static enum held
ask_sanlock(const struct guarded *entry, char **why, struct error *err)
{
	struct error cause = { 0 };
	struct lease_set set;
	size_t n = 0;
	int r = lease_held_by(entry->pid, &set, &cause);

	if (r < 0 && !lease_daemon_is_gone()) {
		*err = cause;
		return UNKNOWN;
	}
	for (size_t i = 0; r == 0 && i < entry->n_names; i++)
		n += lease_set_find(&set, entry->names[i]) != NULL;
	if (r == 0 && n == entry->n_names)
		return HELD;
	*why = r < 0
		   ? xasprintf("sanlock does not run: nobody keeps its %zu leases", entry->n_names)
	       : r > 0 ? xasprintf("sanlock does not know its process %ld: nobody keeps its %zu "
				   "leases",
			     (long)entry->pid, entry->n_names)
		       : xasprintf("its process %ld holds %zu of its %zu leases", (long)entry->pid,
			     n, entry->n_names);
	return LOOSE;
}

/* The same of one that is read anew, and runs all the while. */
static enum held
look_closer(virDomainPtr domain, struct guarded *entry, char **why, struct error *err)
{
	enum held held;

	if (!runs(domain) || !read_domain(domain, entry) || entry->n_names == 0)
		return HELD;
	held = ask_sanlock(entry, why, err);
	if (held == LOOSE && (!runs(domain) || process_start(entry->pid) != entry->start)) {
		free(*why);
		*why = NULL;
		return HELD;
	}
	return held;
}

static enum held
look(const struct work_env *env, virDomainPtr domain, struct guarded *entry, char **why,
    struct error *err)
{
	struct libvirt_files files;
	enum held held;

	libvirt_files_look(&libvirt_system, env->uri, domain, &files);
	if (!libvirt_files_are_same(&files, &entry->files)) {
		/* Looked at before it is read: a change meanwhile is another file. */
		if (!read_domain(domain, entry))
			return HELD;
		entry->files = files;
	}
	if (entry->n_names == 0)
		return HELD;
	held = ask_sanlock(entry, why, err);
	if (held != LOOSE)
		return held;
	free(*why);
	*why = NULL;
	return look_closer(domain, entry, why, err);
}

static bool
is_victim(const struct self_fence_request *req, const struct guarded *entry)
{
	for (size_t i = 0; i < req->n_victims; i++) {
		const struct fence_process *victim = &req->victims[i];

		if (str_equal(victim->uuid, entry->uuid) && victim->pid == entry->pid &&
		    victim->start == entry->start)
			return true;
	}
	return false;
}

/* why becomes the list's. */
static void
add(struct fence_process **list, size_t *n, const struct guarded *entry, char *why)
{
	struct fence_process *process = model_append(list, n);

	process->uuid = xstrdup(entry->uuid);
	process->pid = entry->pid;
	process->start = entry->start;
	process->why = why;
}

static void
add_loose(const struct self_fence_request *req, const struct guarded *entry, char *why,
    struct self_fence_result *res)
{
	struct error err = { 0 };
	int r = is_victim(req, entry) ? process_kill(entry->pid, entry->start, &err) : -1;

	if (r > 0) {
		free(why);
		return;
	}
	if (r == 0) {
		add(&res->ended, &res->n_ended, entry, why);
		return;
	}
	if (err.status) {
		_free_ char *before = why;

		why = xasprintf("%s; %s", before, err.detail);
	}
	add(&res->loose, &res->n_loose, entry, why);
}

int
work_self_fence(const void *request, void *result, struct error *err)
{
	static struct log_limit limit;
	const struct self_fence_request *req = request;
	struct self_fence_result *res = result;
	_connect_ virConnectPtr conn = NULL;
	_free_ virDomainPtr *domains = NULL;
	unsigned int unknown = 0;
	int n;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_RUNNING);
	if (n < 0)
		return hypervisor_error(err, 424, "cannot list the VMs that run");
	if (connection != hypervisor_connections())
		drop_guarded(true);
	connection = hypervisor_connections();
	for (int i = 0; i < n; i++) {
		_domain_ virDomainPtr domain = domains[i];
		char uuid[VIR_UUID_STRING_BUFLEN] = "", *why = NULL;
		struct guarded *entry;
		enum held held;

		if (unknown == UNKNOWN_MAX || virDomainGetUUIDString(domain, uuid) < 0)
			continue;
		entry = need_guarded(uuid);
		entry->seen = true;
		held = look(&req->env, domain, entry, &why, err);
		if (held == LOOSE)
			add_loose(req, entry, why, res);
		unknown += held == UNKNOWN;
	}
	drop_guarded(false);
	if (unknown == 0)
		return 0;
	/* sanlock may be busy with one of them for long: the others end all the same. */
	if (res->n_loose + res->n_ended == 0)
		return -1;
	log_limited(&limit, 5, "work", "%s", err->detail);
	return 0;
}
