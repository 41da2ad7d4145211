/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops_host.h"

#include "api/api.h"

static void
list(void)
{
	here.status = 0;
	api_handle(&here.ctx, ops_request(ROUTE_HOST_LIST, "", ""));
	assert_int_equal(here.status, 200);
	assert_non_null(strstr(here.body, "\"uuid\":\"" SELF "\""));
}

static void
listen_at(const char *addr, enum config_transport transport, enum config_access access)
{
	config_clear_listen(&here.config);
	*model_append(&here.config.listen, &here.config.n_listen) = (struct config_listen){
		.addr = xstrdup(addr), .port = 8080, .transport = transport, .access = access
	};
}

/* What everybody may do is said aloud to who looks at the hosts. */
static void
test_exposed(void **state)
{
	ops_up();
	listen_at("192.0.2.1", TRANSPORT_TLS, ACCESS_AUTH);
	list();
	assert_null(strstr(here.headers, "Warning"));
	listen_at("192.0.2.1", TRANSPORT_PLAIN, ACCESS_OPEN);
	list();
	assert_non_null(strstr(here.headers,
	    "Warning: 299 VirtX \"on the host that answers 192.0.2.1:8080 is plain and open: "
	    "whoever gets there controls the VMs\"\n"));
	listen_at("192.0.2.1", TRANSPORT_PLAIN, ACCESS_AUTH);
	list();
	assert_non_null(strstr(here.headers, "is plain: tokens can be read on their way\"\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exposed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
