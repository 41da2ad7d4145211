/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LOOP_BASE_H
#define LOOP_BASE_H

struct event_base;

/*
 * The loop of a process, NULL where the system has none; event_base_free frees it. What it watches
 * changes in the kernel once a turn, just before it waits, so that an event which is removed and
 * added again in a turn costs little.
 *
 * A descriptor that it watches must not be a copy, nor have one: closing it would leave it watched
 * through the copy, under a number that soon means another file.
 */
struct event_base *base_new(void);

#endif
