/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serf/pacer.h"

#define BURST_MAX     8.0
#define BURST_MIN     2.0
#define BURST_CLUSTER 128.0 /* of all hosts at once: a quarter of what serf can tell apart */
#define DEBT_MAX      4.0   /* bursts; what is owed beyond that is forgiven */
#define POOL_MAX      BURST_CLUSTER
#define POOL_FREE     (POOL_MAX / 2) /* below, nobody sends without a token of its own */
#define HEAR_MS	      2000	     /* until all have heard of an event */
#define PERIOD_MS     15000
#define PERIOD_HOSTS  32 /* that share one period's worth of HIs */

double
pacer_cluster_rate(unsigned int members)
{
	if (members <= 2)
		return 10;
	if (members == 3)
		return 20;
	if (members <= 9)
		return 30;
	return members <= 99 ? 15 : 10;
}

int64_t
pacer_period(unsigned int active)
{
	return PERIOD_MS * (int64_t)((active + PERIOD_HOSTS - 1) / PERIOD_HOSTS);
}

static double
burst_of(unsigned int active)
{
	double burst = BURST_CLUSTER / active;

	return burst > BURST_MAX ? BURST_MAX : burst < BURST_MIN ? BURST_MIN : burst;
}

static void
refill(struct pacer *pacer, int64_t now)
{
	if (now > pacer->at)
		pacer->tokens += (double)(now - pacer->at) * pacer->rate / 1000;
	if (pacer->tokens > pacer->burst)
		pacer->tokens = pacer->burst;
	if (now > pacer->at)
		pacer->pool += (double)(now - pacer->at) * pacer->pool_rate / 1000;
	if (pacer->pool > POOL_MAX)
		pacer->pool = POOL_MAX;
	pacer->at = now;
}

void
pacer_init(struct pacer *pacer, int64_t now)
{
	*pacer = (struct pacer){ .tokens = BURST_MAX,
		.burst = BURST_MAX,
		.pool = POOL_MAX,
		.lent_at = now - HEAR_MS,
		.at = now };
	pacer_set_size(pacer, 1, 1, now);
}

void
pacer_set_size(struct pacer *pacer, unsigned int members, unsigned int active, int64_t now)
{
	refill(pacer, now);
	pacer->pool_rate = pacer_cluster_rate(members) / 2;
	pacer->rate = pacer->pool_rate / active;
	pacer->burst = burst_of(active);
	refill(pacer, now);
}

double
pacer_cost(size_t payload)
{
	/* memberlist packs whole messages into packets of 1369 bytes, each with 36 bytes of serf's
	 * own and 3 of its own; 8 of the usual size fit. */
	size_t fit = 1369 / (payload + 39);

	return fit < 1 ? 8 : fit > 8 ? 1 : 8 / (double)fit;
}

bool
pacer_has(struct pacer *pacer, double tokens, int64_t now)
{
	refill(pacer, now);
	return pacer->tokens >= tokens;
}

static int64_t
ms_until(double missing, double rate)
{
	return missing > 0 ? (int64_t)(missing * 1000 / rate) + 1 : 0;
}

int64_t
pacer_wait_calm(struct pacer *pacer, int64_t now)
{
	refill(pacer, now);
	return ms_until(POOL_FREE - pacer->pool, pacer->pool_rate);
}

int64_t
pacer_wait(struct pacer *pacer, double tokens, int64_t now)
{
	int64_t own, pool, heard;

	refill(pacer, now);
	own = ms_until(tokens - pacer->tokens, pacer->rate);
	pool = pacer_wait_calm(pacer, now);
	heard = pacer->lent_at + HEAR_MS - now;
	if (pool < heard)
		pool = heard;
	return own < pool ? own : pool;
}

void
pacer_hear(struct pacer *pacer, double tokens, int64_t now)
{
	refill(pacer, now);
	pacer->pool -= tokens;
	if (pacer->pool < -POOL_MAX)
		pacer->pool = -POOL_MAX;
}

void
pacer_take(struct pacer *pacer, double tokens, int64_t now)
{
	refill(pacer, now);
	if (pacer->tokens < tokens)
		pacer->lent_at = now;
	pacer->tokens -= tokens;
	if (pacer->tokens < -DEBT_MAX * pacer->burst)
		pacer->tokens = -DEBT_MAX * pacer->burst;
}
