/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/migration_steps.h"

#include <string.h>
#include <unistd.h>

#include <libvirt/virterror.h>

#include "domain/migration_xml.h"
#include "domain/registry.h"
#include "proto/log.h"
#include "virt/runstate.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_leases.h"
#include "work/vm_owner.h"
#include "work/vm_steps.h"
#include "work/vm_variables.h"

#define AGENT_TRIES 20 /* of 100 ms, until QEMU has let go of it */

/* The channel's XML, the caller's; NULL where there is none. */
static int
find_agent(virDomainPtr domain, unsigned int flags, char **ret, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, flags);

	if (!xml)
		return hypervisor_error(
		    err, 424, "cannot read the XML of VM '%s'", virDomainGetName(domain));
	return migration_xml_agent(xml, ret, err);
}

int
migration_detach_agent(virDomainPtr domain, struct error *err)
{
	_free_ char *agent = NULL;

	if (find_agent(domain, 0, &agent, err) < 0)
		return -1;
	if (!agent)
		return 0;
	if (virDomainDetachDeviceFlags(domain, agent, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return hypervisor_error(err, 424,
		    "cannot take the agent's channel, which QEMU does not migrate, out of VM '%s'",
		    virDomainGetName(domain));
	for (int i = 0; i < AGENT_TRIES; i++) {
		_free_ char *left = NULL;

		if (find_agent(domain, 0, &left, err) < 0)
			return -1;
		if (!left)
			return 0;
		usleep(100000);
	}
	return error_set(err, 424,
	    "QEMU does not let go of the agent's channel of VM '%s', which it does not migrate",
	    virDomainGetName(domain));
}

int
migration_attach_agent(virDomainPtr domain, struct error *err)
{
	_free_ char *wanted = NULL, *there = NULL;

	if (find_agent(domain, VIR_DOMAIN_XML_INACTIVE, &wanted, err) < 0)
		return -1;
	if (!wanted || virDomainIsActive(domain) != 1)
		return 0;
	if (find_agent(domain, 0, &there, err) < 0)
		return -1;
	if (there || virDomainAttachDeviceFlags(domain, wanted, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return 0;
	return hypervisor_error(
	    err, 424, "cannot put the agent's channel back into VM '%s'", virDomainGetName(domain));
}

/* How a VM is on one of the two hosts. */
struct standing {
	bool defined; /* libvirt has it, and not for the time of a migration alone */
	bool coming;  /* libvirt takes it in */
	bool on;
	bool runs;    /* or is paused by somebody: its CPUs are there */
	bool brought; /* set by ask_target */
	int state, reason;
};

static int
look(virConnectPtr conn, const char *uuid, virDomainPtr *domain, struct standing *ret,
    struct error *err)
{
	enum vmrunstate runstate;

	*ret = (struct standing){ 0 };
	if (hypervisor_look_up(conn, uuid, domain, err) < 0)
		return -1;
	if (!*domain)
		return 0;
	if (virDomainGetState(*domain, &ret->state, &ret->reason, 0) < 0)
		return hypervisor_error(err, 424, "cannot read the state of VM '%s'", uuid);
	runstate = runstate_from_state(ret->state, ret->reason);
	ret->on = virDomainIsActive(*domain) == 1;
	ret->defined = virDomainIsPersistent(*domain) == 1;
	ret->coming = !ret->defined;
	ret->runs = ret->defined && ret->on &&
		    (runstate == VMRUNSTATE_RUNNING || runstate == VMRUNSTATE_PAUSED);
	return 0;
}

static int
is_migrating(virDomainPtr domain, const char *uuid, bool *ret, struct error *err)
{
	virDomainJobInfo info;

	if (virDomainGetJobInfo(domain, &info) < 0)
		return hypervisor_error(err, 424, "cannot read what libvirt does to VM '%s'", uuid);
	*ret = info.type != VIR_DOMAIN_JOB_NONE;
	return 0;
}

/* A virtxd on the target ends the record of the VM when it comes; where none of this kind is, this
 * host does. */
static int
end_record(const struct work_env *env, const struct journal *journal, struct error *err)
{
	_connect_to_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;
	_domain_info_ struct domain_info info = { 0 };

	if (hypervisor_open_to(journal->target, journal->target_uri, &conn, err) < 0 ||
	    hypervisor_find(conn, journal->uuid, &domain, err) < 0 ||
	    hypervisor_info(domain, env->root, &info, err) < 0)
		return -1;
	for (size_t i = 0; i < info.oplog.n_items; i++) {
		const struct oplog_item *item = &info.oplog.items[i];

		if (str_equal(item->op, "VmMigrate") && str_equal(item->status, "started") &&
		    str_equal(item->msg, journal->target))
			return oplog_complete(domain, item->op, item->ts, item->msg, err);
	}
	return 0;
}

/* The registry's file goes after the VM; the target may have fetched it already. */
static int
hand_over(const struct work_env *env, const struct journal *journal, struct error *err)
{
	struct error cause = { 0 };

	if (registry_move(env->root, env->host, journal->target, journal->uuid, err) < 0)
		return -1;
	if (journal->foreign && end_record(env, journal, &cause) < 0)
		log_warning("job",
		    "the record of VM '%s' does not tell that it is on host '%s': %s",
		    journal->uuid, journal->target, cause.detail);
	if (journal->live)
		vm_forget_local_variables(journal->uuid);
	else
		vm_forget_moved_variables(env, journal->uuid);
	return journal_remove(env->root, env->host, journal->uuid, err);
}

/* The VM is on the target: what is left of it here is a definition, or a process that stands. */
static int
leave(const struct work_env *env, const struct journal *journal, virDomainPtr domain,
    const struct standing *here, struct error *err)
{
	if (here->on && virDomainDestroy(domain) < 0 &&
	    virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
		return hypervisor_error(err, 424,
		    "VM '%s' is on host '%s', and its stopped process here cannot be ended",
		    journal->uuid, journal->target);
	if (here->defined && migration_undefine(domain, err) < 0)
		return -1;
	return hand_over(env, journal, err);
}

/* What libvirt has stopped for the migration runs on, unless another had its leases meanwhile: it
 * stays paused then, and whoever resumes it is told. */
static int
run_on(const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	struct vm_leases leases;
	struct error cause = { 0 };

	if (hypervisor_info(domain, env->root, &info, err) < 0)
		return -1;
	if (vm_leases_let_go(env, domain, &info, &leases, &cause) < 0) {
		if (error_is(&cause, ERROR_BUSY)) {
			log_warning("job", "VM '%s' has not left, and stays paused: %s", uuid,
			    cause.detail);
			return 0;
		}
		*err = cause;
		return -1;
	}
	if (virDomainResume(domain) < 0)
		return hypervisor_error(
		    err, 424, "VM '%s' has not left, and cannot be resumed", uuid);
	(void)vm_leases_record(domain, &cause);
	return 0;
}

/* The VM is here: it goes on as it was. */
static int
stay(const struct work_env *env, const struct journal *journal, virDomainPtr domain,
    const struct standing *here, struct error *err)
{
	struct error cause = { 0 };

	if (here->state == VIR_DOMAIN_PAUSED && here->reason != VIR_DOMAIN_PAUSED_USER &&
	    run_on(env, domain, journal->uuid, err) < 0)
		return -1;
	if (migration_attach_agent(domain, &cause) < 0)
		log_warning("job", "%s", cause.detail);
	return journal_remove(env->root, env->host, journal->uuid, err);
}

/* Whether the definition there is what this migration has taken along: that has the record of it,
 * which is written before libvirt begins and has the journal's time, whatever became of the clock.
 * One from an earlier stay of the VM may lack what it got since. */
static int
is_brought(const struct work_env *env, const struct journal *journal, virDomainPtr domain,
    bool *ret, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };

	if (hypervisor_info(domain, env->root, &info, err) < 0)
		return -1;
	for (size_t i = 0; i < info.oplog.n_items; i++) {
		const struct oplog_item *item = &info.oplog.items[i];

		*ret |= str_equal(item->op, "VmMigrate") && str_equal(item->msg, journal->target) &&
			item->ts == journal->ts;
	}
	return 0;
}

/* Asks the target where there is more than one answer. */
static int
ask_target(const struct work_env *env, const struct journal *journal, struct standing *ret,
    struct error *err)
{
	_connect_to_ virConnectPtr conn = NULL;
	_domain_ virDomainPtr domain = NULL;

	if (hypervisor_open_to(journal->target, journal->target_uri, &conn, err) < 0 ||
	    look(conn, journal->uuid, &domain, ret, err) < 0 ||
	    (ret->defined && is_brought(env, journal, domain, &ret->brought, err) < 0))
		return error_wrap(err, "cannot see whether VM '%s' is on host '%s'", journal->uuid,
		    journal->target);
	return 0;
}

/* Whether a VM that is off here is on the target by what that has. */
static bool
has_arrived(const struct journal *journal, const struct standing *there)
{
	if (there->defined && !there->brought && !there->on)
		log_warning("job",
		    "VM '%s' has not migrated to host '%s': the definition that is there is left "
		    "from before",
		    journal->uuid, journal->target);
	return there->defined && (there->brought || there->on);
}

/* Whether the registry's file is still this host's. */
static int
is_registered(const struct work_env *env, const char *uuid, bool *ret, struct error *err)
{
	_free_ char *xml = NULL;

	if (registry_load(env->root, env->host, uuid, &xml, err) < 0)
		return -1;
	*ret = xml != NULL;
	return 0;
}

/* No libvirt of this host knows the VM any more: it has moved, or somebody has undefined it. The
 * registry tells where its file has gone to, and the target the rest. */
static int
recover_absent(
    const struct work_env *env, const struct journal *journal, bool *moved, struct error *err)
{
	struct vm_owner owner;
	struct standing there;

	if (vm_owner_find(env, journal->uuid, &owner, err) < 0)
		return -1;
	*moved = owner.place == VM_PLACE_ELSEWHERE || owner.place == VM_PLACE_COMING;
	if (*moved)
		return hand_over(env, journal, err);
	if (ask_target(env, journal, &there, err) < 0)
		return -1;
	if (there.coming)
		return error_set(
		    err, 409, "host '%s' still takes VM '%s' in", journal->target, journal->uuid);
	*moved = has_arrived(journal, &there);
	if (*moved)
		return hand_over(env, journal, err);
	if (journal_remove(env->root, env->host, journal->uuid, err) < 0)
		return -1;
	if (owner.place == VM_PLACE_HERE)
		log_warning("job",
		    "VM '%s' was to migrate to host '%s', and no libvirt knows it, neither here "
		    "nor there: its definition is in the registry of this host",
		    journal->uuid, journal->target);
	return 0;
}

int
migration_recover(const struct work_env *env, virConnectPtr conn, const struct journal *journal,
    bool *moved, struct error *err)
{
	_domain_ virDomainPtr domain = NULL;
	struct standing here, there;
	bool busy = false, registered;
	struct vm_owner owner;

	*moved = false;
	if (look(conn, journal->uuid, &domain, &here, err) < 0)
		return -1;
	if (!here.defined && !here.on)
		return recover_absent(env, journal, moved, err);
	if (here.on && is_migrating(domain, journal->uuid, &busy, err) < 0)
		return -1;
	if (busy)
		return error_set(err, 409, "the migration of VM '%s' to host '%s' goes on",
		    journal->uuid, journal->target);
	if (here.on && here.state != VIR_DOMAIN_PAUSED)
		return stay(env, journal, domain, &here, err);
	if (is_registered(env, journal->uuid, &registered, err) < 0)
		return -1;
	/* The target takes the file when the VM runs there; one that nobody has tells nothing. */
	if (!registered && vm_owner_find(env, journal->uuid, &owner, err) < 0)
		return -1;
	/* Of one that was off, libvirt's reason is that of an earlier migration. */
	*moved = (!registered && owner.place != VM_PLACE_NOWHERE) ||
		 (journal->live && !here.on && here.reason == VIR_DOMAIN_SHUTOFF_MIGRATED);
	if (!*moved) {
		if (ask_target(env, journal, &there, err) < 0)
			return -1;
		if (there.coming || (here.on && there.defined && there.on && !there.runs))
			return error_set(err, 409, "host '%s' still takes VM '%s' in",
			    journal->target, journal->uuid);
		*moved = here.on ? there.runs : has_arrived(journal, &there);
	}
	return *moved ? leave(env, journal, domain, &here, err)
		      : stay(env, journal, domain, &here, err);
}

int
migration_arrive(const struct work_env *env, virDomainPtr domain, const struct domain_info *info,
    enum migration_end *ret, struct error *err)
{
	struct error cause = { 0 };
	struct vm_owner owner;

	if (vm_owner_find(env, info->uuid, &owner, err) < 0 ||
	    vm_owner_take(env, domain, info, &owner, err) < 0)
		return -1;
	*ret = MIGRATION_HERE;
	if (owner.place == VM_PLACE_COMING || owner.place == VM_PLACE_ELSEWHERE)
		*ret = vm_owner_is_leftover(env, domain, info, &owner) ? MIGRATION_LEFTOVER
								       : MIGRATION_GOES_ON;
	else if (migration_attach_agent(domain, &cause) < 0)
		log_warning("job", "%s", cause.detail);
	return 0;
}

int
migration_undefine(virDomainPtr domain, struct error *err)
{
	/* Its firmware's variables may be on storage that both hosts have. */
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
					       VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
					       VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
					       VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0 &&
	    virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
		return hypervisor_error(err, 424,
		    "VM '%s' is on another host, and cannot be undefined here",
		    virDomainGetName(domain));
	return 0;
}
