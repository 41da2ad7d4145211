/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sanlock's lockspace and the watchdogs of all hosts, in a simulation with failovers: a host that
 * is in it renews its host id on the storage each 2 x LOCKSPACE_T; where it cannot for 8 x, sanlock
 * ends its VMs, and where that does not run either, the watchdog ends the machine before
 * LOCKSPACE_F more have passed. Others take its leases no earlier.
 */
#ifndef SIM_LOCKSPACE_H
#define SIM_LOCKSPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "disk/lease.h"

#define LOCKSPACE_T	  1  /* sanlock's io_timeout, s */
#define LOCKSPACE_F	  20 /* of the watchdogs, s */
#define LOCKSPACE_DEAD_MS ((8 * LOCKSPACE_T + LOCKSPACE_F) * INT64_C(1000))

void lockspace_reset(void);
/* The machine has power, or has none any more. */
void lockspace_power_on(int host);
void lockspace_power_off(int host);
/* Its sanlock stands still, or does not reach the storage, for so long. */
void lockspace_stop(int host, int64_t ms);
void lockspace_hang(int host, int64_t ms);
/* All that stands still goes on. */
void lockspace_mend(void);

/* Whether its sanlock answers. */
bool lockspace_answers(int host);
bool lockspace_is_joined(int host);
/* Whether it is in it, and has been for longer than a claim of what it had before may take. */
bool lockspace_lives(int host);
/* Joins; false where it has to wait, as for one of this host id that may still live. */
bool lockspace_try_join(int host);
/* Of the host id that the host has, or had last. */
int64_t lockspace_generation(int host);
int64_t lockspace_joined_ms(int host);
/* Whether what it holds can be given back on the storage. */
bool lockspace_writes(int host);
/* How the sanlock of a host sees another one, by what it has read last. */
enum lockspace_sight lockspace_sees(int by, int of);
/* Whether a lease that was taken by another one in that generation is free for this host: read
 * anew. */
bool lockspace_is_free(int by, int of, int64_t generation);

#endif
