/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "work/cpu_model.h"

/* What libvirt 9.0 says. */
#define LACKS(list)                                                                  \
	"the CPU is incompatible with host CPU: Host CPU does not provide required " \
	"features: " list

static void
test_lacks_more(void **state)
{
	static const struct {
		const char *there, *here;
		bool more;
	} rows[] = {
		{ LACKS("topoext"), LACKS("topoext"), false },
		{ "host 'h2' lacks features of the CPU of VM 'a': " LACKS("topoext"),
		    LACKS("topoext"), false },
		{ LACKS("topoext"), LACKS("xsaves, topoext"), false },
		{ LACKS("xsaves, topoext"), LACKS("topoext, xsaves"), false },
		{ LACKS("avx2, bmi2, topoext"), LACKS("topoext"), true },
		{ LACKS("avx"), LACKS("avx2"), true },
		{ LACKS("avx2"), LACKS("avx"), true },
		{ LACKS("avx2"), LACKS(""), true },
		{ "the CPU is incompatible with host CPU: host CPU vendor does not match required "
		  "CPU vendor Intel",
		    LACKS("topoext"), true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(cpu_model_lacks_more(rows[i].there, rows[i].here), rows[i].more);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lacks_more),
	};

	return cmocka_run_group_tests_name("cpu_model", tests, NULL, NULL);
}
