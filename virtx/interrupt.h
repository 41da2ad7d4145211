/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said where SIGINT or SIGTERM ends a command that waits. */
#ifndef VIRTX_INTERRUPT_H
#define VIRTX_INTERRUPT_H

#include "proto/error.h"

/* From now on the signal says this, as JSON or not, before it ends the program by
 * FAILURE_GOES_ON. One that is ignored stays so. */
void interrupt_say(const struct error *err, bool json);
/* The signals are what they were. */
void interrupt_forget(void);

#endif
