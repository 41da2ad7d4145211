/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that change something, and the operations that they are on the server. */
#ifndef VIRTX_OPERATION_H
#define VIRTX_OPERATION_H

#include "proto/model.h"
#include "virtx/command.h"

/*
 * Calls a mutating route. Where wait is set and the server puts the work off (202), it is asked for
 * the operation until that has ended, or has made no progress within the client's timeout. Where
 * stderr is a terminal the server is asked to put it off, and the progress is drawn there. ret
 * (NULL allowed) receives the answer; where the work was put off, vm (NULL or 37 bytes) has the
 * operation's VM, else "".
 */
int operation_call(const struct client *client, enum route_id id, const char *param,
    const void *request, bool wait, struct answer *ret, char *vm, struct error *err);
/* The same for a command on the VM that operand 0 names; verb is for the error: "cannot boot vm".
 */
enum command_result operation_call_vm(struct command_call *call, enum route_id id,
    const void *request, bool wait, const char *verb, struct error *err);
/* Waits in the same way for the end of an operation that goes on, which need not be of this
 * program. */
int operation_follow(const struct client *client, const char *id, struct error *err);
/* The table of operations. */
void operation_show(struct writer *w, const struct operation_list *list);

#endif
