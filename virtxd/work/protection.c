/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/protection.h"

#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "disk/lease.h"
#include "domain/domain_xml.h"
#include "proto/log.h"
#include "state/reason.h"
#include "work/hypervisor.h"
#include "work/oplog.h"
#include "work/vm_process.h"

#define AGAIN_MS 500 /* what is just being started or moved is looked at twice */
#define NAMES	 4   /* VMs in a message */

/* How a VM that is on stands to its leases. */
enum protection {
	PROTECTED,
	UNKNOWN_PROCESS, /* to sanlock */
	LEASES_MISSING,	 /* it runs without some */
	NO_PROCESS,	 /* libvirt does not say which it is */
	NO_SANLOCK,
};

struct state {
	char uuid[VIR_UUID_STRING_BUFLEN];
	enum protection protection;
	pid_t pid;
	unsigned int wanted, held; /* leases */
};

static bool
runs(virDomainPtr domain)
{
	int state = VIR_DOMAIN_NOSTATE, reason;

	return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_RUNNING;
}

/* After a call that failed: 0 where the domain has ended, which needs no protection. A libvirt that
 * does not answer is no such word. */
static int
check_ended(const struct state *state, struct error *err)
{
	if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
		return 0;
	return hypervisor_error(err, 424, "cannot look at VM '%s'", state->uuid);
}

/* libvirt lets go of the leases of a VM that is paused; its process stays known. */
static int
look(virDomainPtr domain, bool answers, struct state *ret, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, 0);
	struct error cause = { 0 };
	struct lease_set set;
	int active, r;
	bool on, known;

	*ret = (struct state){ .protection = PROTECTED };
	virDomainGetUUIDString(domain, ret->uuid);
	if (!xml)
		return check_ended(ret, err);
	if (domain_xml_leases(xml, &ret->wanted, err) < 0)
		return error_wrap(err, "VM '%s'", ret->uuid);
	if (ret->wanted == 0)
		return 0;
	on = runs(domain);
	ret->protection = NO_SANLOCK;
	if (!answers)
		return 0;
	known = vm_process_find(domain, &ret->pid, &cause) == 0;
	r = known ? lease_held_by(ret->pid, &set, &cause) : 0;
	if (r < 0) {
		*err = cause;
		return -1;
	}
	if (!known) {
		ret->protection = NO_PROCESS;
	} else if (r > 0) {
		ret->protection = UNKNOWN_PROCESS;
	} else {
		bool misses = set.n < ret->wanted && on && runs(domain);

		ret->held = (unsigned int)set.n;
		ret->protection = misses ? LEASES_MISSING : PROTECTED;
	}
	active = virDomainIsActive(domain);
	if (active != 1)
		ret->protection = PROTECTED;
	return active < 0 ? check_ended(ret, err) : 0;
}

static int
look_twice(virDomainPtr domain, bool answers, struct state *ret, struct error *err)
{
	if (look(domain, answers, ret, err) < 0)
		return -1;
	if (ret->protection == PROTECTED || !answers)
		return 0;
	usleep(AGAIN_MS * 1000);
	return look(domain, answers, ret, err);
}

static char *
describe(const struct state *state)
{
	static const char heal[] =
	    "shut it down, or set kill_unprotected; it can be booted again when the lockspace is "
	    "joined";

	switch (state->protection) {
	case UNKNOWN_PROCESS:
		return xasprintf("the VM is on, and sanlock does not know its process %d: nobody "
				 "keeps its %u leases, and another host may take them; %s",
		    state->pid, state->wanted, heal);
	case LEASES_MISSING:
		return xasprintf("the VM runs, and its process %d holds %u of its %u leases; %s",
		    state->pid, state->held, state->wanted, heal);
	case NO_PROCESS:
		return xasprintf("the VM is on, and whether sanlock keeps its %u leases is not "
				 "known: its process is not found",
		    state->wanted);
	case NO_SANLOCK:
		return xasprintf("the VM is on, and sanlock does not answer: nobody keeps its %u "
				 "leases",
		    state->wanted);
	case PROTECTED:
		break;
	}
	return xstrdup("");
}

/* Whether it is ended. The lockspace's look and the reconciler's may find it at once: who comes
 * second finds it ended, which is what it was to be. */
static bool
end(virDomainPtr domain, const struct state *state)
{
	struct error err = { 0 };
	_free_ char *why = xasprintf(
	    REASON_UNPROTECTED ": sanlock does not keep the leases of its process %d", state->pid);
	int64_t ts = now_ms();

	/* Nor can it stay on where that cannot be written down. */
	if (oplog_begin(domain, "VmShutdown", why, &ts, &err) < 0)
		log_warning("protection", "%s", err.detail);
	if (virDomainDestroy(domain) == 0) {
		oplog_end(domain, "VmShutdown", ts, why, NULL);
		log_error("protection", "VM '%s' was ended by %s", state->uuid, why);
		return true;
	}
	if (virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID) {
		oplog_end(domain, "VmShutdown", ts, why, NULL);
		return true;
	}
	hypervisor_error(&err, 424, "VM '%s' runs unprotected, and cannot be ended", state->uuid);
	oplog_end(domain, "VmShutdown", ts, NULL, &err);
	log_error("protection", "%s", err.detail);
	return false;
}

int
protection_find(virConnectPtr conn, bool answers, bool kill, struct host_problem **problems,
    size_t *n_problems, struct error *err)
{
	_free_ virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	int r = 0;

	if (n < 0)
		return hypervisor_error(err, 424, "cannot list the VMs that are on");
	for (int i = 0; i < n; i++) {
		_domain_ virDomainPtr domain = domains[i];
		struct host_problem *problem;
		struct state state;
		bool known;

		if (r < 0)
			continue;
		r = look_twice(domain, answers, &state, err);
		if (r < 0 || state.protection == PROTECTED)
			continue;
		known = state.protection == UNKNOWN_PROCESS || state.protection == LEASES_MISSING;
		if (kill && known && end(domain, &state))
			continue;
		problem = model_append(problems, n_problems);
		problem->kind = xstrdup(PROTECTION_PROBLEM);
		problem->vm = xstrdup(state.uuid);
		problem->path = xstrdup("");
		problem->detail = describe(&state);
	}
	return r;
}

int
protection_check_join(virConnectPtr conn, bool kill, struct error *err)
{
	struct host_problem *problems = NULL;
	_buffer_ struct buffer names = { 0 };
	size_t n = 0;
	int r = protection_find(conn, true, kill, &problems, &n, err);

	for (size_t i = 0; i < n; i++) {
		if (i < NAMES)
			buffer_printf(&names, "%s'%s'", i ? ", " : "", problems[i].vm);
		else if (i == NAMES)
			buffer_printf(&names, " and others");
		model_clear(&host_problem_model, &problems[i]);
	}
	free(problems);
	if (r < 0 || n == 0)
		return r;
	return error_set(err, 503,
	    "%zu VM%s on whose leases sanlock does not keep since it was started again (%s): the "
	    "lockspace is not joined before they are off, since another host could take the leases "
	    "at once; shut them down, or set kill_unprotected",
	    n, n == 1 ? " is" : "s are", names.data);
}
