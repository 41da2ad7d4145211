/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs and hosts as users name them: by their UUID, their name, or the start of their UUID. */
#ifndef VIRTX_NAMED_H
#define VIRTX_NAMED_H

#include "virtx/command.h"

#define NAMED_PREFIX_MIN 4 /* characters of a UUID */

/*
 * Runs the command of a parsed call, which then has UUIDs where operands and options name VMs and
 * hosts, and what messages call its operands in call->shown. A whole UUID is taken as it is, and
 * the server is not asked: no name can stand for another one's UUID. Else it is the one with this
 * name, or, where none has it, the one whose UUID alone starts so. Where there is none (404) or
 * more than one (409), err says which there are, and nothing is run.
 */
enum command_result named_run(struct command_call *call, struct error *err);
/* The VM that has this name: 1 with its UUID, of UUID_TEXT_SIZE bytes, 0 where none has. Several
 * are a 409 that lists them. */
int named_find_vm(const struct client *client, const char *name, char *uuid, struct error *err);

#endif
