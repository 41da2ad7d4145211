/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "proto/error.h"

const struct error_type_info error_types[ERROR_TYPE_N] = {
	[ERROR_BY_STATUS] = { "", 0, "", "" },
	[ERROR_INVALID] = { "invalid", 400, "The request is wrong",
	    "A field, a parameter, the path or the HTTP of the request is wrong; the detail names "
	    "it. "
	    "Nothing was done. Asking again does not help." },
	[ERROR_FOREIGN_ORIGIN] = { "foreign-origin", 403, "A page of another site asks",
	    "The request has the Origin of a web page that virtxd does not serve; allowed_origins "
	    "in "
	    "virtxd.conf allows more." },
	[ERROR_NOT_FOUND] = { "not-found", 404, "There is no such thing",
	    "No such path, VM, host or operation is known." },
	[ERROR_METHOD] = { "method-not-allowed", 405, "The path does not take this method",
	    "The Allow header has those that it takes." },
	[ERROR_REQUEST_TIMEOUT] = { "request-timeout", 408, "The request did not arrive in time",
	    "It has to be there whole within request_timeout of virtxd.conf." },
	[ERROR_BUSY] = { "busy", 409, "Another operation is in the way",
	    "Jobs on a VM run one at a time; operation is the id of the one that is under way. Ask "
	    "again when that has ended." },
	[ERROR_CHANGED] = { "changed", 412, "The definition is another one by now",
	    "It was changed since it was read: its ETag is none of the If-Match header. Nothing "
	    "was done. Read it again, and ask with what is there now." },
	[ERROR_TOO_LARGE] = { "too-large", 413, "The body is too large",
	    "max_body of virtxd.conf is the bound." },
	[ERROR_MEDIA_TYPE] = { "media-type", 415, "The body is not JSON",
	    "A body has to be of Content-Type application/json." },
	[ERROR_EXPECTATION] = { "expectation", 417, "The expectation cannot be met",
	    "Only 'Expect: 100-continue' is known." },
	[ERROR_MISDIRECTED] = { "misdirected", 421, "The request is for another server",
	    "Its Host is no address and no name of a host of the cluster; host_names in "
	    "virtxd.conf "
	    "allows more." },
	[ERROR_REFUSED] = { "refused", 422, "It cannot be done as things are",
	    "The request is well formed, but the state of the VM, a host, the storage or an image "
	    "does not allow it; the detail says which and why. Nothing was done." },
	[ERROR_FAILED] = { "failed", 424, "It was tried and failed",
	    "libvirt, QEMU or another part refused; the detail is what it said, and what is left "
	    "undone where there is something." },
	[ERROR_INTERNAL] = { "internal", 500, "virtxd failed",
	    "Something happened that should not; the log of virtxd has more." },
	[ERROR_NOT_SUPPORTED] = { "not-supported", 501, "The host does not know of this",
	    "It runs another virtxd that cannot do it." },
	[ERROR_NO_ANSWER] = { "no-answer", 502, "Another host did not answer",
	    "It could not be reached, or its answer was wrong; host is its UUID. Whether the "
	    "request "
	    "was done there may be unknown." },
	[ERROR_UNAVAILABLE] = { "unavailable", 503, "Something that it needs is missing",
	    "libvirt, the lockspace, the storage, a host or room for another request is not there "
	    "now; /readyz says what. Ask again later." },
	[ERROR_NOT_OVER] = { "not-over", 504, "It goes on",
	    "The operation takes longer than reply_timeout of virtxd.conf; operation is its id, "
	    "and "
	    "/operations/ID shows its end." },
	[ERROR_STORAGE] = { "storage", 507, "The storage does not do it",
	    "It is full, it failed, or a file that was to be made is there already." },
	[ERROR_LOOP] = { "loop", 508, "Two hosts disagree where it is",
	    "The request was forwarded to a host that would forward it again; that ends by itself "
	    "as "
	    "news spread." },
	[ERROR_ALREADY_RUNNING] = { "already-running", 424, "The VM runs already",
	    "It was to be booted or resumed. With ?if_needed=true that is a success." },
	[ERROR_ALREADY_PAUSED] = { "already-paused", 424, "The VM is paused already",
	    "It was to be paused. With ?if_needed=true that is a success." },
	[ERROR_ALREADY_OFF] = { "already-off", 424, "The VM is off already",
	    "It was to be shut down. With ?if_needed=true that is a success." },
	[ERROR_NOT_RUNNING] = { "not-running", 424, "The VM does not run",
	    "It was to be paused, resumed, reset or rebooted, and its state does not allow that." },
	[ERROR_ALREADY_ON] = { "already-on", 424, "The VM is on, but does not run",
	    "It was to be booted, and is paused, suspended or crashed: resume it, or shut it "
	    "down." },
	[ERROR_NOT_OFF] = { "not-off", 422, "The VM is not powered off",
	    "It was to be changed, deleted or migrated cold: shut it down first." },
	[ERROR_MISSING] = { "missing", 422, "A file or device is missing",
	    "A disk, its lease or another file that the VM needs is not there; the detail has its "
	    "path." },
	[ERROR_NO_NETWORK] = { "no-network", 422, "The host lacks a network or a bridge",
	    "A network device of the VM needs one that the host does not have, or that is not "
	    "active." },
	[ERROR_NO_HOST] = { "no-host", 422, "No host can have the VM",
	    "The detail says why of each." },
	[ERROR_ALREADY_THERE] = { "already-there", 422, "The VM is on that host already",
	    "It was to be migrated to the host that it is on." },
	[ERROR_NOT_A_MEMBER] = { "not-a-member", 403, "Only hosts of the cluster may ask",
	    "The path is for virtxd on other hosts, known by their addresses: no active member of "
	    "the cluster has the address that asks. Or the host was forgotten, or put out." },
	[ERROR_WHO] = { "who", 401, "Nobody knows who asks",
	    "The listener wants to know: the request needs the secret of a token, in a header "
	    "'Authorization: Bearer SECRET', or the certificate of a host. What it has is missing, "
	    "wrong, revoked or expired; the answer to a wrong one is held back for a moment." },
	[ERROR_ROLE] = { "role", 403, "The role does not allow it",
	    "The detail has the role that is needed, and the one that the token has." },
};

/* That of all failures with this status that are of no special one. */
static enum error_type
by_status(int status)
{
	for (unsigned int i = ERROR_BY_STATUS + 1; i < ERROR_TYPE_N; i++) {
		if (error_types[i].status == status)
			return (enum error_type)i;
	}
	return ERROR_BY_STATUS;
}

enum error_type
error_get_type(const struct error *err)
{
	/* A later status is not that of the type. */
	return error_types[err->type].status == err->status ? err->type : by_status(err->status);
}

bool
error_is(const struct error *err, enum error_type type)
{
	return err->status != 0 && (error_get_type(err) == type || by_status(err->status) == type);
}

enum error_type
error_type_find(const char *name)
{
	for (unsigned int i = ERROR_BY_STATUS + 1; i < ERROR_TYPE_N; i++) {
		if (str_equal(error_types[i].name, name))
			return (enum error_type)i;
	}
	return ERROR_BY_STATUS;
}
