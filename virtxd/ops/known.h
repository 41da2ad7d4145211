/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After a start not all hosts and VMs are known yet, this host itself neither: until they are, or
 * some seconds have passed, no list pretends that there are none, and no 404 while there is a host
 * whose VMs are not known. */
#ifndef OPS_KNOWN_H
#define OPS_KNOWN_H

#include "ops/request.h"

struct context;

/* 0, with the hosts whose VMs are not known in words (the caller frees; "" for none); or -1 with a
 * 503 while that is still to be found out. */
int known_check(const struct context *ctx, char **ret_missing, struct error *err);
/* Replies with that 503, and when to come again. */
void known_refuse(struct request *req, const struct error *err);
/* Replies that the VM in the path is not known: 404 where all VMs are, else 503. */
void known_reply_no_vm(const struct context *ctx, struct request *req);
/* A job has found no VM where this host had it (err: its 404): what is known by now. Where another
 * host has it, or may have it, err becomes a 503 that says so, too. */
void known_judge_lost(
    const struct context *ctx, const struct request *req, const char *vm, struct error *err);
/* Sets err, and returns -1: the host is not known, 404, or 503 while that may change. */
int known_no_host(const struct context *ctx, const char *uuid, struct error *err);

#endif
