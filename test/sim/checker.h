/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold: at each operation's end, and when nothing disturbs any more. */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/model.h"

struct operation;

void checker_reset(void);
/* An operation of this host's has begun, changed or ended. */
void checker_on_operation(int host, const struct operation *operation);
/* A job on a VM begins. */
void checker_on_job(int host, const char *name, const char *uuid);
/* Its virtxd, and what it knew of operations, is no more. */
void checker_on_killed(int host);
/* libvirt has told this host's virtxd of a VM. */
void checker_on_event(int host, const char *uuid, enum vmrunstate runstate);
/* What a job has seen has been taken over by this host's virtxd: that does not override what
 * libvirt has told since it was seen. */
void checker_on_result(int host);
/* Whether all has come to rest as it should; else why not (text, len bytes). */
bool checker_is_at_rest(char *why, size_t len);

/* With failovers: all is well, and this host dies. */
void checker_on_last_death(int host);
/* Whether all that was wanted on it, and ran, runs elsewhere; else that is a violation. */
bool checker_is_brought_back(void);

#endif
