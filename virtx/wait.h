/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for what a VM becomes. */
#ifndef VIRTX_WAIT_H
#define VIRTX_WAIT_H

#include "proto/model.h"
#include "virtx/command.h"

/* All of it borrowed. */
struct vm_wait {
	const struct client *client;
	const char *vm;	     /* its UUID */
	unsigned int states; /* each of these ends it, as 1 << VMRUNSTATE_POWEROFF; _DELETED for
			      * one that is gone */
	const char *word;    /* what messages call them */
	int64_t since;	     /* monotonic_ms() */
	int seconds;	     /* from then on; it is looked at once, however few are left */
	const char *hint;    /* what to do where they are over, as a part of a sentence */
};

/*
 * Asks for the VM's state until it is one of these. A server that cannot tell it is asked again;
 * one that cannot be reached at first is an error at once. Where the time is over: -1 with
 * CLIENT_GOES_ON_STATUS; where the VM is gone and that is not waited for, with 404. A signal
 * meanwhile ends the program and says how the VM is.
 */
int wait_for_vm(const struct vm_wait *wait, struct error *err);

#endif
