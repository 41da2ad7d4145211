/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the options of every command say of the output. */
#ifndef VIRTX_OUTPUT_H
#define VIRTX_OUTPUT_H

#include "virtx/command.h"

/* Sets the writer's format and what it shows of tables; borrows of the call. -1 where the options
 * do not go together. */
int output_configure(const struct command_call *call, struct writer *writer, struct error *err);
/* The same for a writer whose out is a terminal: its width, and colours where NO_COLOR is not set;
 * nothing where it is none. */
void output_set_terminal(struct writer *writer);

#endif
