/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's event loop interface (virEventRegisterImpl) on libevent. */
#ifndef VIRT_BRIDGE_H
#define VIRT_BRIDGE_H

struct event_base;

/* Registers, once in a process and before any connection is opened. The base must outlive all
 * connections. */
void bridge_register(struct event_base *base);
/* The descriptor that libvirt registered last, -1 when it is removed again. Async-signal-safe. */
int bridge_newest_fd(void);
/* Frees what is left at exit; after the last connection is closed. */
void bridge_done(void);

#endif
