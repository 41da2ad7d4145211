/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/failover_proof.h"

#include "disk/lease.h"

static const char *const sight_words[FAILOVER_SIGHT_N] = { "unknown", "LIVE", "FAIL", "DEAD",
	"gone", "host_id taken again" };
const struct enumdef failover_sight_enum = { "FailoverSight", sight_words, FAILOVER_SIGHT_N };

enum failover_sight
failover_sight_of(const struct lockspace_hosts_result *hosts, const struct host_ha *ha)
{
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		const struct seen_host *seen = &hosts->hosts[i];

		if (seen->host_id != ha->host_id)
			continue;
		if (seen->sight == LOCKSPACE_SIGHT_FREE)
			return FAILOVER_SIGHT_GONE;
		if ((uint64_t)seen->generation > ha->generation)
			return FAILOVER_SIGHT_TAKEN;
		/* What is behind what the host has told was read before. */
		if ((uint64_t)seen->generation < ha->generation)
			return FAILOVER_SIGHT_UNKNOWN;
		switch (seen->sight) {
		case LOCKSPACE_SIGHT_LIVE:
			return FAILOVER_SIGHT_LIVE;
		case LOCKSPACE_SIGHT_FAIL:
			return FAILOVER_SIGHT_FAIL;
		case LOCKSPACE_SIGHT_DEAD:
			return FAILOVER_SIGHT_DEAD;
		default:
			return FAILOVER_SIGHT_UNKNOWN;
		}
	}
	return FAILOVER_SIGHT_GONE;
}

int
failover_check_pair(const struct host_ha *host, const struct host_ha *self, struct error *err)
{
	if (!self->armed)
		return error_set(err, 409, "this host is not armed");
	if (!host->armed)
		return error_set(err, 409, "it was not armed");
	if (host->io_timeout != self->io_timeout)
		return error_set(err, 409,
		    "its sanlock has an io_timeout of %d s, and this host's one of %d s",
		    host->io_timeout, self->io_timeout);
	if (host->fire_timeout != self->fire_timeout)
		return error_set(err, 409,
		    "its watchdog fires after %d s, and this host's sanlock counts on %d s",
		    host->fire_timeout, self->fire_timeout);
	return 0;
}

static int
check_sight(const struct failover_evidence *evidence, struct error *err)
{
	if (evidence->looked < evidence->suspected ||
	    evidence->now - evidence->looked > FAILOVER_FRESH_MS)
		return error_set(err, 409, "sanlock has not answered since");
	switch (evidence->sight) {
	case FAILOVER_SIGHT_DEAD:
	case FAILOVER_SIGHT_GONE:
		return 0;
	case FAILOVER_SIGHT_TAKEN:
		if (evidence->successor)
			return 0;
		return error_set(err, 409,
		    "its host_id %d is renewed again, and no host tells that it has it now: it may "
		    "be "
		    "this host itself, back and not reached",
		    evidence->host.host_id);
	case FAILOVER_SIGHT_LIVE:
		return error_set(err, 409, "sanlock says LIVE: it is there, and not reached");
	case FAILOVER_SIGHT_FAIL:
		return error_set(err, 409, "sanlock says FAIL, and not DEAD yet");
	default:
		return error_set(err, 409, "sanlock does not tell how it is");
	}
}

int
failover_prove(const struct failover_evidence *evidence, struct error *err)
{
	int64_t wait_ms = host_ha_wait(&evidence->self) * INT64_C(1000);

	if (failover_check_pair(&evidence->host, &evidence->self, err) < 0)
		return -1;
	if (evidence->cstate != CSTATE_LEFT && evidence->cstate != CSTATE_FAILED)
		return error_set(
		    err, 409, "serf says %s", enum_word(&cstate_enum, evidence->cstate));
	if (check_sight(evidence, err) < 0)
		return -1;
	if (evidence->now - evidence->steady < wait_ms)
		return error_set(err, 409,
		    "this host has been in the lockspace without a break for %d s only, and %d s "
		    "are needed",
		    (int)((evidence->now - evidence->steady) / 1000), (int)(wait_ms / 1000));
	return 0;
}
