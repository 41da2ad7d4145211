/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operation log in the VM's own XML: started before, completed or failed after. */
#ifndef WORK_OPLOG_H
#define WORK_OPLOG_H

#include <libvirt/libvirt.h>

#include "proto/error.h"
#include "proto/model.h"

/* Writes "started" with msg. *ts is set: pass it to oplog_end. */
int oplog_begin(
    virDomainPtr domain, const char *op, const char *msg, int64_t *ts, struct error *err);
/* The same, later than all that the VM's log has: which came last tells what is so, and the clock
 * may have been set back since. */
int oplog_begin_after(virDomainPtr domain, const struct oplog_list *before, const char *op,
    const char *msg, int64_t *ts, struct error *err);
/* The same of an operation that has begun already, at ts. */
int oplog_begin_at(
    virDomainPtr domain, const char *op, const char *msg, int64_t ts, struct error *err);
/* Writes "completed" with msg. */
int oplog_complete(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, struct error *err);
/* Writes "completed" with msg, or "failed" with cause's detail where cause is not NULL. A failure
 * of its own is only logged: the operation itself is over. */
void oplog_end(
    virDomainPtr domain, const char *op, int64_t ts, const char *msg, const struct error *cause);
/* Whether the VM has run, as far as its log tells: of each operation that has the last one alone.
 */
bool oplog_was_on(const struct oplog_list *oplog);

#endif
