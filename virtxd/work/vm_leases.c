/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_leases.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "domain/metadata.h"
#include "proto/vmdef.h"
#include "virt/runstate.h"
#include "work/hypervisor.h"
#include "work/vm_process.h"

/* Until libvirt has given up its leases of a VM that it has paused. */
#define HOLD_TRIES 20
#define HOLD_PAUSE 50 /* ms */

/* The name of lease number i, a managed disk's or the VM's own; false past the last. */
static bool
next_lease(const struct work_env *env, const struct domain_info *info, size_t *i,
    const struct disk **disk, char name[LEASE_NAME_SIZE])
{
	struct error ignored = { 0 };

	while ((*disk = domain_info_leased(info, (*i)++))) {
		if (disk_resource_name(*disk, env->root, name, &ignored) == 0)
			return true;
	}
	return false;
}

static bool
has_leases(const struct work_env *env, const struct domain_info *info)
{
	char name[LEASE_NAME_SIZE];
	const struct disk *disk;
	size_t i = 0;

	return next_lease(env, info, &i, &disk, name);
}

/* Whether all leases of the VM are in the set. */
static bool
covers(const struct work_env *env, const struct domain_info *info, const struct lease_set *set)
{
	char name[LEASE_NAME_SIZE];
	const struct disk *disk;
	size_t i = 0;

	while (next_lease(env, info, &i, &disk, name)) {
		if (!lease_set_find(set, name))
			return false;
	}
	return true;
}

/* What the VM's process holds; 1 where libvirt or sanlock does not know it, and err says who. */
static int
find_held(virDomainPtr domain, pid_t *pid, struct lease_set *ret, struct error *err)
{
	int r = vm_process_find(domain, pid, err);

	return r == 0 ? lease_held_by(*pid, ret, err) : r;
}

int
vm_leases_are_held(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    bool *ret, struct error *err)
{
	struct error cause = { 0 };
	struct lease_set set;
	pid_t pid = 0;
	int r;

	*ret = false;
	if (!has_leases(env, info))
		return 0;
	r = find_held(domain, &pid, &set, &cause);
	if (r < 0) {
		*err = cause;
		return -1;
	}
	*ret = r == 0 && covers(env, info, &set);
	return 0;
}

/* What keeps the leases that libvirt would take for the VM, whatever its definition says by now. */
struct names {
	char (*items)[LEASE_NAME_SIZE];
	size_t n;
};
#define _names_ __attribute__((cleanup(names_clear)))

static void
names_clear(struct names *names)
{
	free(names->items);
}

static int
find_names(virDomainPtr domain, struct names *ret, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, 0);

	if (!xml)
		return hypervisor_error(
		    err, 424, "cannot read the leases of VM '%s'", virDomainGetName(domain));
	return domain_xml_lease_names(xml, &ret->items, &ret->n, err);
}

static int
save(virDomainPtr domain, const struct lease_set *set, struct error *err)
{
	_buffer_ struct buffer text = { 0 };
	_free_ char *element = NULL;

	for (size_t i = 0; i < set->n; i++)
		buffer_printf(&text, "%s%" PRId64 ":%s", i ? " " : "", set->items[i].version,
		    set->items[i].name);
	buffer_add(&text, "", 1);
	element = metadata_leases_build(text.data);
	if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, METADATA_LEASES,
		METADATA_LEASES, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return hypervisor_error(
		    err, 424, "cannot record the leases of VM '%s'", virDomainGetName(domain));
	return 0;
}

/* What was recorded; empty for nothing, or for what is no such record. */
static void
recall(virDomainPtr domain, struct lease_set *ret)
{
	_free_ char *element = virDomainGetMetadata(
	    domain, VIR_DOMAIN_METADATA_ELEMENT, METADATA_LEASES, VIR_DOMAIN_AFFECT_LIVE);
	_free_ char *text = element ? metadata_leases_read(element) : NULL;
	char *rest = NULL, *word;

	*ret = (struct lease_set){ 0 };
	for (word = text ? strtok_r(text, " ", &rest) : NULL;
	     word && ret->n < ARRAY_SIZE(ret->items); word = strtok_r(NULL, " ", &rest)) {
		struct lease_held *held = &ret->items[ret->n];
		char *colon;

		held->version = strtoll(word, &colon, 10);
		if (*colon != ':' || strlen(colon + 1) >= sizeof(held->name))
			continue;
		memcpy(held->name, colon + 1, strlen(colon + 1) + 1);
		ret->n++;
	}
}

/* Whether all that is held is recorded at the version at which it is held. */
static bool
is_recorded(virDomainPtr domain, const struct lease_set *held)
{
	struct lease_set recorded;

	recall(domain, &recorded);
	for (size_t i = 0; i < held->n; i++) {
		const struct lease_held *its = lease_set_find(&recorded, held->items[i].name);

		if (!its || its->version != held->items[i].version)
			return false;
	}
	return recorded.n == held->n;
}

static bool
has_all(const struct names *names, const struct lease_set *held)
{
	for (size_t i = 0; i < names->n; i++) {
		if (!lease_set_find(held, names->items[i]))
			return false;
	}
	return true;
}

/* What the process of a VM that runs holds; empty where it does not hold all, or sanlock does not
 * know it. virtxd itself, the other that takes leases for a paused VM, does so under the VM's lock.
 */
static int
find_running(virDomainPtr domain, struct lease_set *ret, struct error *err)
{
	_names_ struct names names = { 0 };
	struct error cause = { 0 };
	enum vmrunstate runstate;
	pid_t pid = 0;
	int r;

	*ret = (struct lease_set){ 0 };
	if (hypervisor_runstate(domain, &runstate, err) < 0)
		return -1;
	if (runstate != VMRUNSTATE_RUNNING)
		return 0;
	if (find_names(domain, &names, err) < 0)
		return -1;
	if (names.n == 0)
		return 0;
	r = find_held(domain, &pid, ret, &cause);
	if (r < 0) {
		*err = cause;
		return -1;
	}
	if (r > 0 || !has_all(&names, ret))
		ret->n = 0;
	return 0;
}

int
vm_leases_record(virDomainPtr domain, struct error *err)
{
	struct lease_set held;

	if (find_running(domain, &held, err) < 0)
		return -1;
	return held.n == 0 || is_recorded(domain, &held) ? 0 : save(domain, &held, err);
}

bool
vm_leases_are_unrecorded(virDomainPtr domain)
{
	struct error ignored = { 0 };
	struct lease_set held;

	return find_running(domain, &held, &ignored) == 0 && held.n > 0 &&
	       !is_recorded(domain, &held);
}

int
vm_leases_before_pause(virDomainPtr domain, struct vm_leases *ret, struct error *err)
{
	_names_ struct names names = { 0 };

	*ret = (struct vm_leases){ 0 };
	if (find_names(domain, &names, err) < 0)
		return -1;
	if (names.n == 0)
		return 0;
	if (vm_leases_record(domain, err) == 0 && find_held(domain, &ret->pid, &ret->set, err) == 0)
		return 0;
	ret->pid = 0;
	return -1;
}

/* One by one: a lease that is taken and given back, because another is not free yet, would have a
 * version that tells nothing. */
static int
acquire(const struct work_env *env, const struct vm_leases *leases, struct error *err)
{
	const struct timespec pause = { .tv_nsec = HOLD_PAUSE * 1000000L };
	int tries = HOLD_TRIES;

	for (size_t i = 0; i < leases->set.n; i++) {
		const struct lease_set one = { { leases->set.items[i] }, 1 };

		while (lease_acquire_for(env->root, leases->pid, &one, err) < 0) {
			if (--tries == 0)
				return -1;
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

/* A version that was recorded and the one now: the process took it once since, and nobody else. */
static bool
follows(const struct lease_held *held, const struct lease_held *recorded)
{
	return held->version == recorded->version || held->version == recorded->version + 1;
}

/* The record goes along with what the process of a paused VM holds without a gap. */
static int
follow(virDomainPtr domain, const struct lease_set *held, struct error *err)
{
	struct lease_set recorded;
	bool changes = false;

	recall(domain, &recorded);
	for (size_t i = 0; i < recorded.n; i++) {
		struct lease_held *its = &recorded.items[i];
		const struct lease_held *now = lease_set_find(held, its->name);

		if (!now || now->version == its->version || !follows(now, its))
			continue;
		its->version = now->version;
		changes = true;
	}
	return changes ? save(domain, &recorded, err) : 0;
}

int
vm_leases_hold(const struct work_env *env, virDomainPtr domain, const struct vm_leases *leases,
    struct error *err)
{
	struct lease_set held;

	if (leases->pid == 0 || leases->set.n == 0)
		return 0;
	if (acquire(env, leases, err) < 0 || lease_held_by(leases->pid, &held, err) != 0)
		return -1;
	return follow(domain, &held, err);
}

/* What a person knows the lease by, the caller's: its disk's path, where the definition has it, or
 * that it is the VM's. */
static char *
describe(const struct work_env *env, const struct domain_info *info, const char *lease)
{
	char name[LEASE_NAME_SIZE];
	const struct disk *disk;
	size_t i = 0;

	if (str_equal(lease, info->lease.path))
		return xstrdup("the VM itself");
	while (next_lease(env, info, &i, &disk, name)) {
		if (str_equal(name, lease))
			return xasprintf("disk '%s'", disk->path);
	}
	return xasprintf("disk '%s'", lease);
}

/* Whether nobody has taken the lease since the VM's process was recorded to hold it. */
static int
check_version(const struct work_env *env, const struct domain_info *info, const char *name,
    const struct lease_held *held, const struct lease_held *recorded, struct error *err)
{
	_free_ char *what = describe(env, info, name);
	struct lease_held now = { 0 };
	bool same;

	if (!recorded)
		return error_set(err, 409,
		    "nothing is recorded of the lease of %s, so that it is not known whether "
		    "another has used it since VM '%s' was paused: end it with force, or, where "
		    "you know that nobody has, resume it with virsh",
		    what, info->uuid);
	if (!held && lease_version(env->root, name, &now.version, err) < 0)
		return error_wrap(err, "%s", what);
	same = held ? follows(held, recorded) : now.version == recorded->version;
	if (same)
		return 0;
	return error_set(err, 409,
	    "the lease of %s was taken by another since VM '%s' was seen to hold it, so that its "
	    "disks may have changed under its memory: end it with force instead",
	    what, info->uuid);
}

static int
check_versions(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    const struct names *names, const struct lease_set *held, struct error *err)
{
	struct lease_set recorded;

	recall(domain, &recorded);
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->items[i];

		if (check_version(env, info, name, lease_set_find(held, name),
			lease_set_find(&recorded, name), err) < 0)
			return -1;
	}
	return 0;
}

int
vm_leases_let_go(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct vm_leases *ret, struct error *err)
{
	_names_ struct names names = { 0 };
	struct error cause = { 0 };
	int r;

	*ret = (struct vm_leases){ 0 };
	if (find_names(domain, &names, err) < 0)
		return -1;
	if (names.n == 0)
		return 0;
	r = find_held(domain, &ret->pid, &ret->set, &cause);
	if (r < 0) {
		ret->pid = 0;
		*err = cause;
		return -1;
	}
	if (r > 0) {
		ret->pid = 0;
		return error_set(err, 409,
		    "sanlock does not know the process of VM '%s', so that nothing would keep "
		    "another host from running it, too: end it with force (%s)",
		    info->uuid, cause.detail);
	}
	if (check_versions(env, domain, info, &names, &ret->set, err) < 0 ||
	    follow(domain, &ret->set, err) < 0)
		return -1;
	return ret->set.n > 0 ? lease_release_for(env->root, ret->pid, &ret->set, err) : 0;
}
