/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/wanted.h"

#include "domain/metadata.h"
#include "domain/registry.h"
#include "state/reason.h"
#include "work/host_down.h"
#include "work/hypervisor.h"
#include "work/vm_steps.h"

int
wanted_define(
    virDomainPtr domain, struct domain_info *info, enum want want, bool excused, struct error *err)
{
	_free_ char *xml = metadata_want_build(want, excused);
	unsigned int flags = VIR_DOMAIN_AFFECT_CONFIG;

	if (!info->recorded || virDomainIsPersistent(domain) != 1 ||
	    (info->want == want && info->excused == excused))
		return 0;
	if (virDomainIsActive(domain) == 1)
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	if (virDomainSetMetadata(
		domain, VIR_DOMAIN_METADATA_ELEMENT, xml, METADATA_WANT, METADATA_WANT, flags) < 0)
		return hypervisor_error(err, 424, "cannot record that VM '%s' is wanted %s",
		    info->uuid, enum_word(&want_enum, want));
	info->want = want;
	info->excused = excused;
	return 0;
}

int
wanted_register(
    const struct work_env *env, virDomainPtr domain, const char *uuid, struct error *err)
{
	_domain_info_ struct domain_info now = { 0 }, known = { 0 };
	_free_ char *xml = NULL;
	struct error ignored = { 0 };

	if (registry_load(env->root, env->host, uuid, &xml, err) < 0 ||
	    hypervisor_info(domain, env->root, &now, err) < 0)
		return -1;
	if (!xml || !now.recorded ||
	    (domain_xml_read(xml, env->root, &known, &ignored) == 0 && known.want == now.want))
		return 0;
	return vm_register(env, domain, uuid, err);
}

void
wanted_tell(
    const struct work_env *env, virDomainPtr domain, const struct domain_info *info, char **warning)
{
	struct error err = { 0 };

	if (info->recorded && wanted_register(env, domain, info->uuid, &err) < 0)
		vm_add_warning(warning,
		    "the registry does not tell that VM '%s' is wanted %s, which is tried again: "
		    "%s",
		    info->uuid, enum_word(&want_enum, info->want), err.detail);
}

bool
wanted_is_booting(const struct oplog_list *oplog)
{
	for (size_t i = 0; i < oplog->n_items; i++) {
		if (str_equal(oplog->items[i].op, "VmBoot") &&
		    str_equal(oplog->items[i].status, "started"))
			return true;
	}
	return false;
}

bool
wanted_is_on(int state, int reason)
{
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
	case VIR_DOMAIN_PMSUSPENDED:
		return true;
	case VIR_DOMAIN_PAUSED:
		return !hypervisor_arrives(state, reason);
	default:
		return false;
	}
}

/* *excused tells whether it is off for no wish of anybody's. */
static enum want
judge(const struct vm_heal_request *req, const struct domain_info *info, int state, int reason,
    bool *excused)
{
	bool booting = wanted_is_booting(&info->oplog);

	*excused = info->excused;
	if (state == VIR_DOMAIN_SHUTOFF && reason_asked_off(&info->oplog)) {
		*excused = false;
		return WANT_OFF;
	}
	if (wanted_is_on(state, reason) &&
	    reason_shutdown(&info->oplog, true, info->want) != SHUTDOWN_WAITS) {
		*excused = false;
		return WANT_ON;
	}
	if (state != VIR_DOMAIN_SHUTOFF || reason != VIR_DOMAIN_SHUTOFF_SHUTDOWN ||
	    info->want != WANT_ON || info->excused)
		return info->want;
	/* Who looks for the end of an operation does not know what ended the VM. */
	if (!str_empty(req->op) && !booting)
		return WANT_ON;
	*excused = req->ended || booting || reason_reboot(&info->oplog) == REBOOT_WAITS ||
		   host_down_takes_guests(req->env.run_dir);
	return *excused ? WANT_ON : WANT_OFF;
}

int
wanted_heal(const struct vm_heal_request *req, virDomainPtr domain, struct domain_info *info,
    int state, int reason, struct error *err)
{
	enum want want;
	bool excused;

	if (!info->recorded || virDomainIsPersistent(domain) != 1)
		return 0;
	want = judge(req, info, state, reason, &excused);
	if (wanted_define(domain, info, want, excused, err) < 0)
		return -1;
	return wanted_register(&req->env, domain, req->uuid, err);
}
