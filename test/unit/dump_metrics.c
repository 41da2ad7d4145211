/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints the families of GET /metrics with their types, for test/check_monitoring. */
#include <stdio.h>

#include "api/metric.h"

int
main(void)
{
	for (size_t i = 0; i < METRIC_N; i++)
		printf("%s %s\n", metrics[i].name, metrics[i].type);
	return 0;
}
