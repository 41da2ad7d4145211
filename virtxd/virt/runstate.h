/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's domain states and events as run states. */
#ifndef VIRT_RUNSTATE_H
#define VIRT_RUNSTATE_H

#include "proto/model.h"

/* virDomainState and its reason. */
enum vmrunstate runstate_from_state(int state, int reason);
/* Why a domain that stands still does, for people; "" where there is nothing to say. */
const char *runstate_reason(int state, int reason);
/* virDomainEventType and its detail; VMRUNSTATE_NONE where the event tells no state. *migrated: the
 * domain left for another host. */
enum vmrunstate runstate_from_event(int event, int detail, bool *migrated);
/* Whether the event tells that QEMU ends, and not because its guest has powered itself off. */
bool runstate_is_signal(int event, int detail);

#endif
