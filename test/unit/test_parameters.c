/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of parameters.c: what a request's query may have. */
#include "api/parameters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_parameters(void **state)
{
	static const struct {
		enum route_id route;
		const char *query;
		const char *words; /* of the error, NULL for none */
	} rows[] = {
		{ ROUTE_VM_BOOT, NULL, NULL },
		{ ROUTE_VM_BOOT, "", NULL },
		{ ROUTE_VM_BOOT, "&", NULL },
		{ ROUTE_VM_BOOT, "if_needed", NULL },
		{ ROUTE_VM_BOOT, "if%5Fneeded=true", NULL },
		{ ROUTE_VM_BOOT, "if_neded=true",
		    "unknown query parameter 'if_neded', did you mean 'if_needed'?" },
		{ ROUTE_VM_BOOT, "IF_NEEDED=true", "did you mean 'if_needed'?" },
		{ ROUTE_VM_BOOT, "force=1",
		    "unknown query parameter 'force'; there are if_needed" },
		{ ROUTE_VM_BOOT, "if_needed=true&if_needed=false",
		    "query parameter 'if_needed': it is there twice" },
		{ ROUTE_VM_BOOT, "if_needed=true&if_neede%64=true", "it is there twice" },
		{ ROUTE_VM_BOOT, "%zz=1", "bad percent-encoding" },
		{ ROUTE_VM_DELETE, "deletestorage=true",
		    "unknown query parameter 'deletestorage'; there are none here" },
		{ ROUTE_VM_CREATE, "dryrun=true", "did you mean 'dry_run'?" },
		{ ROUTE_EVENTS, "typ=vm", "did you mean 'type'?" },
		{ ROUTE_EVENTS, "type=vm&type=host", "it is there twice" },
		{ ROUTE_VM_LIST,
		    "name=web&runstate=running&custom.name=a&custom.value=b&limit=1&offset=2",
		    NULL },
		{ ROUTE_VM_LIST, "name_contains=web", NULL },
		{ ROUTE_VM_LIST, "custom.vale=web", "did you mean 'custom.value'?" },
		{ ROUTE_VM_LIST, "custom=web", "unknown query parameter 'custom'" },
		{ ROUTE_VM_LIST, "limit=1&limit=2", "'limit': it is there twice" },
		{ ROUTE_HOST_LIST, "cpudef.cores=1&cpudef.nodes=2", NULL },
		{ ROUTE_OPERATION_LIST, "limits=1", "did you mean 'limit'?" },
		/* Probes and other hosts. */
		{ ROUTE_HEALTHZ, "t=1&t=2", NULL },
		{ ROUTE_VM_GET, "pretty", NULL },
		{ ROUTE_GOSSIP_VMS, "limit=1&newer=1", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request req = { .route = &routes[rows[i].route], .query = rows[i].query };
		struct error err = { 0 };

		if ((parameters_check(&req, &err) < 0) != (rows[i].words != NULL) ||
		    !strstr(err.detail, str_or_empty(rows[i].words)))
			fail_msg("row %zu: '%s'", i, err.detail);
		assert_int_equal(err.status, rows[i].words ? 400 : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
