/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event connection to libvirt that lives in the loop: opened only after a probe said that
 * libvirt answers, watched by keepalive, reopened every few seconds. Nothing here asks libvirt a
 * question once the connection is up.
 *
 *   waiting   -> probing     it is time to ask in a child whether libvirt answers
 *   probing   -> waiting     it does not, or the connection cannot be made
 *   probing   -> connected   the connection is up
 *   connected -> broken      libvirt told so: it is closed from a clean stack
 *   broken    -> waiting     it is closed
 *
 * The end may come in any of these states.
 */
#ifndef VIRT_VIRT_H
#define VIRT_VIRT_H

#include "proto/error.h"
#include "proto/model.h"

struct event_base;
struct virt;

struct virt_ops {
	/* Asks for a probe in a child; the answer comes by virt_probe_done. */
	void (*probe)(void *arg);
	/* The connection is up, or lost (why is then for people). An attempt that fails for a new
	 * reason is told by disconnected too. */
	void (*connected)(void *arg);
	void (*disconnected)(void *arg, const char *why);
	/* A domain changed to this state; VMRUNSTATE_NONE: look again (defined, metadata changed).
	 * Migrated: it left for another host, which is no deletion. */
	void (*changed)(void *arg, const char *uuid, enum vmrunstate runstate, bool migrated);
	/* Its QEMU was told to end, by a signal, say, and not by its guest: before changed. */
	void (*signalled)(void *arg, const char *uuid);
};

/* Starts to connect. uri and ops are copied/borrowed for life. retry: seconds. */
struct virt *virt_new(
    struct event_base *base, const char *uri, int retry, const struct virt_ops *ops, void *arg);
void virt_free(struct virt *virt);
/* The probe's outcome: err NULL means that libvirt answers. */
void virt_probe_done(struct virt *virt, const struct error *err);
bool virt_is_connected(const struct virt *virt);
/* "" when connected, else why not. */
const char *virt_why(const struct virt *virt);

#endif
