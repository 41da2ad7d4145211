/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/vm_leases.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "domain/metadata.h"
#include "proto/vmdef.h"
#include "work/hypervisor.h"

/* Where the system's libvirtd keeps what it knows of running VMs. */
#define PID_FILE    "/run/libvirt/qemu/%s.pid"
#define CMDLINE_MAX (1 << 20)

/* Until libvirt has given up its leases of a VM that it has paused. */
#define HOLD_TRIES 20
#define HOLD_PAUSE 50 /* ms */

static int
read_text(const char *path, struct buffer *buffer)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r = fd < 0 ? -1 : read_all(fd, buffer, CMDLINE_MAX);

	if (r == 0)
		buffer_add(buffer, "", 1);
	return r;
}

/* Whether the command line, its words NUL-terminated, has the uuid in it. */
static bool
names_uuid(const struct buffer *cmdline, const char *uuid)
{
	return memmem(cmdline->data, cmdline->len, uuid, strlen(uuid)) != NULL;
}

int
vm_leases_process(virDomainPtr domain, pid_t *ret, struct error *err)
{
	_free_ char *path = xasprintf(PID_FILE, virDomainGetName(domain)), *cmdline = NULL;
	_buffer_ struct buffer text = { 0 }, words = { 0 };
	char uuid[VIR_UUID_STRING_BUFLEN];
	char *end;
	long pid;

	if (virDomainGetUUIDString(domain, uuid) < 0)
		return hypervisor_error(err, 424, "cannot read a VM's uuid");
	if (read_text(path, &text) < 0)
		return error_set(err, 404, "there is no '%s' to read", path);
	pid = strtol(text.data, &end, 10);
	cmdline = xasprintf("/proc/%ld/cmdline", pid);
	/* Its number may have become another's. */
	if (end == text.data || pid <= 0 || read_text(cmdline, &words) < 0 ||
	    !names_uuid(&words, uuid))
		return error_set(
		    err, 404, "process %ld of '%s' is not the QEMU of VM '%s'", pid, path, uuid);
	*ret = (pid_t)pid;
	return 0;
}

/* The name of the lease of disk number i of the VM's managed disks; false past the last. */
static bool
next_lease(const struct work_env *env, const struct domain_info *info, size_t *i,
    const struct disk **disk, char name[LEASE_NAME_SIZE])
{
	struct error ignored = { 0 };

	while ((*disk = vmdef_disk(&info->def, (*i)++))) {
		if ((*disk)->man == DISK_MAN_MODE_MANAGED &&
		    disk_resource_name(*disk, env->root, name, &ignored) == 0)
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

/* Whether all managed disks' leases are in the set. */
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

int
vm_leases_are_held(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    bool *ret, struct error *err)
{
	struct error cause = { 0 };
	struct lease_set set;
	pid_t pid = 0;

	*ret = false;
	if (!has_leases(env, info))
		return 0;
	if (vm_leases_process(domain, &pid, &cause) < 0 || lease_held_by(pid, &set, &cause) < 0) {
		if (cause.status == 404)
			return 0;
		*err = cause;
		return -1;
	}
	*ret = covers(env, info, &set);
	return 0;
}

static int
record(virDomainPtr domain, const struct lease_set *set, struct error *err)
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

int
vm_leases_before_pause(const struct work_env *env, virDomainPtr domain,
    const struct domain_info *info, struct vm_leases *ret, struct error *err)
{
	*ret = (struct vm_leases){ 0 };
	if (!has_leases(env, info))
		return 0;
	if (vm_leases_process(domain, &ret->pid, err) == 0 &&
	    lease_held_by(ret->pid, &ret->set, err) == 0)
		return 0;
	ret->pid = 0;
	return -1;
}

static int
acquire(const struct work_env *env, const struct vm_leases *leases, struct error *err)
{
	const struct timespec pause = { .tv_nsec = HOLD_PAUSE * 1000000L };

	for (int i = 1; lease_acquire_for(env->root, leases->pid, &leases->set, err) < 0; i++) {
		if (i == HOLD_TRIES)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int
vm_leases_hold(const struct work_env *env, virDomainPtr domain, const struct vm_leases *leases,
    struct error *err)
{
	struct error ignored = { 0 };
	struct lease_set set;

	if (leases->pid == 0 || leases->set.n == 0)
		return 0;
	if (acquire(env, leases, err) < 0) {
		(void)record(domain, &leases->set, &ignored);
		return -1;
	}
	if (lease_held_by(leases->pid, &set, err) < 0)
		return -1;
	return record(domain, &set, err);
}

int
vm_leases_note(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct error *err)
{
	struct lease_set set;
	const struct disk *disk;
	size_t i = 0;

	recall(domain, &set);
	if (set.n > 0 || !has_leases(env, info))
		return 0;
	while (set.n < ARRAY_SIZE(set.items) &&
	       next_lease(env, info, &i, &disk, set.items[set.n].name)) {
		struct lease_held *held = &set.items[set.n];

		if (lease_version(env->root, held->name, &held->version, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
		set.n++;
	}
	return record(domain, &set, err);
}

void
vm_leases_forget(virDomainPtr domain)
{
	struct lease_set set;

	recall(domain, &set);
	if (set.n > 0)
		(void)virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, NULL,
		    METADATA_LEASES, METADATA_LEASES, VIR_DOMAIN_AFFECT_LIVE);
}

/* Whether the leases are as they were recorded. A VM of which nothing was recorded is believed. */
static int
check_versions(const struct work_env *env, const struct domain_info *info,
    const struct lease_set *recorded, struct error *err)
{
	char name[LEASE_NAME_SIZE];
	const struct disk *disk;
	size_t i = 0;

	while (next_lease(env, info, &i, &disk, name)) {
		const struct lease_held *held = lease_set_find(recorded, name);
		int64_t version;

		if (!held)
			continue;
		if (lease_version(env->root, name, &version, err) < 0)
			return error_wrap(err, "disk '%s'", disk->path);
		if (version != held->version)
			return error_set(err, 409,
			    "the lease of disk '%s' was taken by another since VM '%s' was paused, "
			    "so that the disk may have changed under its memory: end it with force "
			    "instead",
			    disk->path, info->uuid);
	}
	return 0;
}

int
vm_leases_let_go(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    struct vm_leases *ret, struct error *err)
{
	struct error cause = { 0 };
	struct lease_set recorded;

	*ret = (struct vm_leases){ 0 };
	if (!has_leases(env, info))
		return 0;
	if (vm_leases_process(domain, &ret->pid, &cause) < 0 ||
	    lease_held_by(ret->pid, &ret->set, &cause) < 0) {
		ret->pid = 0;
		if (cause.status != 404) {
			*err = cause;
			return -1;
		}
		return error_set(err, 409,
		    "sanlock does not know the process of VM '%s', so that nothing would keep "
		    "another host from running it, too: end it with force (%s)",
		    info->uuid, cause.detail);
	}
	recall(domain, &recorded);
	if (!covers(env, info, &ret->set) && check_versions(env, info, &recorded, err) < 0)
		return -1;
	return ret->set.n > 0 ? lease_release_for(env->root, ret->pid, &ret->set, err) : 0;
}
