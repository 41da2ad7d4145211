/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serf agents of all hosts. */
#ifndef SIM_AGENTS_H
#define SIM_AGENTS_H

void agents_reset(void);

#endif
