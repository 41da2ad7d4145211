/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who reaches whom, how fast, and what is lost. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

void net_reset(void);
/* The hosts fall into two groups that do not hear each other. */
void net_split(void);
void net_join(void);
/* So many of a thousand messages are lost. */
void net_set_loss(int permille);
/* Between two hosts that have power. */
bool net_is_open(int a, int b);
bool net_loses(void);
/* ms that a message takes, at most max. */
int64_t net_delay(int64_t max);

#endif
