/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes wrong. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

/* Things go wrong from now on, and no more, when all is mended. */
void faults_start(void);
void faults_end(void);

/* virtxd of the host, an int in a pointer, is killed, and started a moment later. */
void fault_kill_virtxd(void *arg);
/* One host more has no power, until the faults have ended once more. */
void faults_last_death(void);

#endif
