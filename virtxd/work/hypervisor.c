/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/hypervisor.h"

#include <stdio.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "proto/log.h"
#include "proto/uuid.h"
#include "virt/runstate.h"
#include "work/work.h"

#define ANSWER_S 60 /* that another host's libvirt has for all that a job asks it at a time */

void
hypervisor_close(virConnectPtr *conn)
{
	if (*conn)
		virConnectClose(*conn);
}

void
hypervisor_free_domain(virDomainPtr *domain)
{
	if (*domain)
		virDomainFree(*domain);
}

/* Closing asks the other host, too. */
void
hypervisor_close_to(virConnectPtr *conn)
{
	hypervisor_close(conn);
	work_waited();
}

/* libvirt would print every error to stderr by itself. */
static void
note_error(void *arg, virErrorPtr error)
{
	log_debug("libvirt", "%s", error->message);
}

int
hypervisor_error(struct error *err, int status, const char *fmt, ...)
{
	_free_ char *what = NULL;
	virErrorPtr last = virGetLastError();
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	return error_set(err, status, "%s: %s", what,
	    last && last->message ? last->message : "libvirt gives no reason");
}

static int
open_new(const char *uri, virConnectPtr *ret, struct error *err)
{
	virSetErrorFunc(NULL, note_error);
	*ret = virConnectOpen(uri);
	return *ret ? 0 : hypervisor_error(err, 503, "cannot connect to libvirt at '%s'", uri);
}

/* A resident process's connection; of its libvirtd's end nobody hears but by a call. */
static struct {
	virConnectPtr conn;
	char *uri;
	char host[VIR_UUID_STRING_BUFLEN]; /* "" until it was asked */
	unsigned int number;
} kept;

static bool
is_kept(const char *uri)
{
	unsigned long version;

	if (!kept.conn)
		return false;
	if (str_equal(kept.uri, uri) && virConnectGetLibVersion(kept.conn, &version) == 0)
		return true;
	hypervisor_close(&kept.conn);
	kept.conn = NULL;
	return false;
}

int
hypervisor_open(const char *uri, virConnectPtr *ret, struct error *err)
{
	if (!work_is_resident())
		return open_new(uri, ret, err);
	if (!is_kept(uri)) {
		if (open_new(uri, &kept.conn, err) < 0)
			return -1;
		str_set(&kept.uri, uri);
		kept.host[0] = '\0';
		kept.number++;
	}
	virConnectRef(kept.conn);
	*ret = kept.conn;
	return 0;
}

unsigned int
hypervisor_connections(void)
{
	return kept.number;
}

int
hypervisor_open_to(const char *host, const char *uri, virConnectPtr *ret, struct error *err)
{
	struct error late = { 0 };

	error_set(&late, 503, "host '%s': its libvirt at '%s' did not answer within %d s", host,
	    uri, ANSWER_S);
	snprintf(late.host, sizeof(late.host), "%s", host);
	work_wait(ANSWER_S, &late);
	if (open_new(uri, ret, err) == 0)
		return 0;
	work_waited();
	/* libvirt's words for that it cannot run ssh without capabilities. */
	if (strstr(err->detail, "process capabilities"))
		error_append(err, "qemu+ssh needs a setting of virtxd.service, see SECURITY in "
				  "virtxd(8)");
	return error_wrap(err, "host '%s'", host);
}

int
hypervisor_look_up(virConnectPtr conn, const char *uuid, virDomainPtr *ret, struct error *err)
{
	*ret = virDomainLookupByUUIDString(conn, uuid);
	if (*ret || virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
		return 0;
	return hypervisor_error(err, 424, "cannot look up VM '%s'", uuid);
}

int
hypervisor_find(virConnectPtr conn, const char *uuid, virDomainPtr *ret, struct error *err)
{
	if (hypervisor_look_up(conn, uuid, ret, err) < 0)
		return -1;
	if (*ret)
		return 0;
	return error_set_type(err, ERROR_NOT_FOUND, "no VM '%s' on this host", uuid);
}

int
hypervisor_caps(virConnectPtr conn, struct domain_caps *ret, struct error *err)
{
	_free_ char *xml = virConnectGetCapabilities(conn);

	if (!xml)
		return hypervisor_error(err, 424, "cannot read libvirt's capabilities");
	return domain_caps_read(xml, ret, err);
}

int
hypervisor_host(virConnectPtr conn, char ret[VIR_UUID_STRING_BUFLEN], struct error *err)
{
	_domain_caps_ struct domain_caps caps = { 0 };

	if (conn == kept.conn && kept.host[0]) {
		memcpy(ret, kept.host, sizeof(kept.host));
		return 0;
	}
	if (hypervisor_caps(conn, &caps, err) < 0)
		return -1;
	snprintf(ret, VIR_UUID_STRING_BUFLEN, "%s", caps.host_uuid);
	if (conn == kept.conn)
		memcpy(kept.host, ret, sizeof(kept.host));
	return 0;
}

bool
hypervisor_arrives(int state, int reason)
{
	return state == VIR_DOMAIN_NOSTATE ||
	       (state == VIR_DOMAIN_PAUSED &&
		   (reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_POSTCOPY ||
		       reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED ||
		       reason == VIR_DOMAIN_PAUSED_STARTING_UP ||
		       reason == VIR_DOMAIN_PAUSED_UNKNOWN));
}

bool
hypervisor_counts(virDomainPtr domain, const char *root)
{
	_domain_info_ struct domain_info info = { 0 };
	struct error ignored = { 0 };
	int state, reason;

	if (virDomainIsPersistent(domain) == 1)
		return true;
	return virDomainGetState(domain, &state, &reason, 0) == 0 && state != VIR_DOMAIN_SHUTOFF &&
	       !hypervisor_arrives(state, reason) &&
	       hypervisor_info(domain, root, &info, &ignored) == 0 && info.ours;
}

bool
hypervisor_may_be_restored(int state, int reason)
{
	return state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION;
}

/* No migration is under way, of which libvirt knows a job at both ends; at the target it refuses to
 * tell of it. */
static bool
is_restored(virDomainPtr domain, int state, int reason)
{
	virDomainJobInfo job;

	return hypervisor_may_be_restored(state, reason) && virDomainIsPersistent(domain) == 1 &&
	       virDomainGetJobInfo(domain, &job) == 0 && job.type == VIR_DOMAIN_JOB_NONE;
}

int
hypervisor_runstate(virDomainPtr domain, enum vmrunstate *ret, struct error *err)
{
	int state, reason;

	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return hypervisor_error(
		    err, 424, "cannot read the state of VM '%s'", virDomainGetName(domain));
	*ret = is_restored(domain, state, reason) ? VMRUNSTATE_PAUSED
						  : runstate_from_state(state, reason);
	return 0;
}

int
hypervisor_info(virDomainPtr domain, const char *root, struct domain_info *ret, struct error *err)
{
	_free_ char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);

	if (!xml)
		return hypervisor_error(
		    err, 424, "cannot read the definition of VM '%s'", virDomainGetName(domain));
	return domain_xml_read(xml, root, ret, err);
}

/* Why it stands still: after an I/O error, on which disks. */
static char *
read_reason(virDomainPtr domain)
{
	virDomainDiskError errors[8];
	_buffer_ struct buffer text = { 0 };
	int state, reason, n = 0;

	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return xstrdup("");
	buffer_printf(&text, "%s",
	    is_restored(domain, state, reason) ? "its memory was restored"
					       : runstate_reason(state, reason));
	if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR)
		n = virDomainGetDiskErrors(domain, errors, ARRAY_SIZE(errors), 0);
	for (int i = 0; i < n; i++) {
		buffer_printf(&text, "%s disk '%s'%s", i ? "," : " on", errors[i].disk,
		    errors[i].error == VIR_DOMAIN_DISK_ERROR_NO_SPACE ? ": no space left" : "");
		free(errors[i].disk);
	}
	return buffer_steal(&text, NULL);
}

int
hypervisor_report(virDomainPtr domain, const char *root, struct vm_report *ret, struct error *err)
{
	_domain_info_ struct domain_info info = { 0 };
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (virDomainGetUUIDString(domain, uuid) < 0)
		return hypervisor_error(err, 424, "cannot read a VM's uuid");
	if (hypervisor_runstate(domain, &ret->runstate, err) < 0 ||
	    hypervisor_info(domain, root, &info, err) < 0)
		return -1;
	str_set(&ret->uuid, uuid);
	ret->reason = read_reason(domain);
	ret->has_def = true;
	ret->def = info.def;
	info.def = (struct vmdef){ 0 };
	ret->oplog = info.oplog;
	info.oplog = (struct oplog_list){ 0 };
	ret->foreign = info.foreign;
	ret->leased = info.leased;
	ret->foreign_why = steal_ptr(info.foreign_why);
	ret->cloud_init = steal_ptr(info.cloud_init);
	ret->want = info.want;
	ret->excused = info.excused;
	ret->recorded = info.recorded && virDomainIsPersistent(domain) == 1;
	return 0;
}
