/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host: its virtxd is the real core, with other doors than those of daemon.c. */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include <stdbool.h>

#include "proto/model.h"

struct context;
struct operation;

void hosts_reset(void);
bool host_is_powered(int host);
/* Whether its virtxd takes requests. */
bool host_serves(int host);
/* How often it was started; a job knows by it whether its virtxd still is. */
unsigned int host_start(int host);
/* When that was, ms. */
int64_t host_started(int host);
struct context *host_context(int host);
/* How often of a thousand a step of a job takes long. */
int host_slow_permille(void);
void hosts_set_slow(int permille);

/* virtxd is started, and is killed at once, as by SIGKILL: its jobs go on. */
void host_run(int host);
void host_kill(int host);
/* The power of the machine goes, and comes back. */
void host_power_off(int host);
void host_power_on(int host);

/* What libvirt tells its virtxd. */
void host_on_libvirt_event(int host, const char *uuid, enum vmrunstate runstate, bool migrated);
void host_on_libvirt_lost(int host);

#endif
