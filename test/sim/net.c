/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net.h"

#include <string.h>

#include "clock.h"
#include "dice.h"
#include "history.h"
#include "host.h"
#include "world.h"

static struct {
	int group[WORLD_HOSTS];
	int loss;
} net;

void
net_reset(void)
{
	memset(&net, 0, sizeof(net));
}

void
net_split(void)
{
	char text[WORLD_HOSTS + 1] = "";

	for (int i = 0; i < world.n_hosts; i++) {
		net.group[i] = dice_permille(500);
		text[i] = (char)('A' + net.group[i]);
	}
	history_add(CLOCK_NOBODY, "the network splits: %s", text);
}

void
net_join(void)
{
	memset(net.group, 0, sizeof(net.group));
	history_add(CLOCK_NOBODY, "the network is whole");
}

void
net_set_loss(int permille)
{
	net.loss = permille;
}

bool
net_is_open(int a, int b)
{
	return host_is_powered(a) && host_is_powered(b) && !clock_is_frozen(a) &&
	       !clock_is_frozen(b) && net.group[a] == net.group[b];
}

bool
net_loses(void)
{
	return dice_permille(net.loss);
}

int64_t
net_delay(int64_t max)
{
	/* Some take much longer than most. */
	return dice_permille(50) ? dice_between(1, max * 5) : dice_between(1, max);
}
