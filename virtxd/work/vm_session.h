/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM in a job: its lock, the connection to libvirt, and its domain there. How each work on a VM
 * begins, and what it gives back however it ends. */
#ifndef WORK_VM_SESSION_H
#define WORK_VM_SESSION_H

#include <libvirt/libvirt.h>

#include "domain/domain_xml.h"
#include "work/requests.h"

struct vm_session {
	const struct work_env *env; /* borrowed */
	const char *uuid;	    /* likewise */
	int lock;
	virConnectPtr conn;
	virDomainPtr domain; /* NULL until it was found */
	bool carried;	     /* by vm_session_recover: an earlier change to its end */
};

/* To begin with; a variable of this type ends the session where it goes out of scope. */
#define _vm_session_ __attribute__((cleanup(vm_session_end)))
#define VM_SESSION_CLOSED  \
	{                  \
		.lock = -1 \
	}

/* Takes the VM's lock and connects to libvirt. 409 where another job has it. */
int vm_session_open(
    struct vm_session *session, const struct work_env *env, const char *uuid, struct error *err);
/* The same on a connection of the work's own, which stays open when the session ends. */
int vm_session_open_on(struct vm_session *session, const struct work_env *env, virConnectPtr conn,
    const char *uuid, struct error *err);
/* As vm_session_open, for work on the storage: that is there and the one that was joined, and what
 * is made on it is for this host's QEMU. */
int vm_session_open_storage(
    struct vm_session *session, const struct work_env *env, const char *uuid, struct error *err);
/* The domain; 404 where libvirt does not know it. */
int vm_session_find(struct vm_session *session, struct error *err);
/* The same, after what an earlier operation left half done was carried to its end; what that could
 * not let go of is added to *warning (NULL or the caller's). */
int vm_session_recover(struct vm_session *session, char **warning, struct error *err);
/* A session that is not open is fine. */
void vm_session_end(struct vm_session *session);

#endif
