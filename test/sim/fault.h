/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes wrong. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

/* Things go wrong from now on, and no more, when all is mended. */
void faults_start(void);
void faults_end(void);

#endif
