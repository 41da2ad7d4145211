/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/lease.h"
#include "work/works.h"

int
work_lockspace_hosts(const void *request, void *result, struct error *err)
{
	struct lockspace_hosts_result *res = result;
	_free_ struct lockspace_host *hosts = NULL;
	size_t n;

	if (lockspace_hosts(&hosts, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		*model_append(&res->hosts, &res->n_hosts) = (struct seen_host){
			.host_id = hosts[i].host_id,
			.generation = hosts[i].generation,
			.io_timeout = hosts[i].io_timeout,
			.sight = (int16_t)hosts[i].sight,
		};
	return 0;
}
