/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the sanlock daemon on which nothing is said: its end tells at once that the
 * daemon is gone, and its peer's process whether it is stopped. Nothing of it can block.
 */
#ifndef OPS_SANLOCK_LINK_H
#define OPS_SANLOCK_LINK_H

#include "proto/error.h"

struct event_base;
struct sanlock_link;

/* The daemon that was connected has ended. */
typedef void (*sanlock_link_ended)(void *arg);

/* Borrows the base. */
struct sanlock_link *sanlock_link_new(struct event_base *base, sanlock_link_ended ended, void *arg);
void sanlock_link_free(struct sanlock_link *link);
/* How often a daemon was connected: another number is, or may be, another daemon. */
int32_t sanlock_link_number(const struct sanlock_link *link);
/* 0 when the daemon is there and not stopped, else a 503. Connects where it is not. */
int sanlock_link_check(struct sanlock_link *link, struct error *err);

#endif
