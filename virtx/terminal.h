/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What somebody is asked who sits at the terminal of standard input. */
#ifndef VIRTX_TERMINAL_H
#define VIRTX_TERMINAL_H

#include "proto/error.h"

/* Whether somebody does. */
bool terminal_is_there(void);
/* Whether the answer is a yes. */
bool terminal_ask(const char *question);
/* A line that is not shown while it is typed, for secret_file_free; NULL with err set. */
char *terminal_secret(const char *prompt, struct error *err);

#endif
