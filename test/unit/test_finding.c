/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ops/finding.h"

#define CAUSE "job 'vm-boot' was killed by signal 9 (Killed)"

static void
test_what_is_told(void **state)
{
	static const struct {
		enum work_stage stage;
		bool known, gone, done;
		bool success;
		const char *told;
	} cases[] = {
		{ WORK_STAGE_BEGUN, true, false, true, true, CAUSE },
		{ WORK_STAGE_BEGUN, true, true, true, true, CAUSE },
		{ WORK_STAGE_DONE, true, false, false, true, CAUSE },
		{ WORK_STAGE_DONE, true, true, false, false,
		    CAUSE "; nothing of it is left, and the VM is not here" },
		{ WORK_STAGE_BEGUN, true, false, false, false,
		    CAUSE "; it was not done, and the VM is poweroff" },
		{ WORK_STAGE_DONE, false, false, false, false,
		    CAUSE "; it is not known yet how that ended (no libvirt): what is half done is "
			  "finished or undone as soon as that is possible" },
	};
	const struct error why = { .status = 503, .detail = "no libvirt" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_result res = { .gone = cases[i].gone,
			.done = cases[i].done,
			.vm = { .runstate = VMRUNSTATE_POWEROFF } };
		struct error err = { 0 };

		error_set(&err, 500, "%s", CAUSE);
		assert_int_equal(finding_judge(cases[i].stage, cases[i].known ? &res : NULL,
				     cases[i].known ? NULL : &why, &err),
		    cases[i].success);
		assert_string_equal(err.detail, cases[i].told);
		assert_int_equal(err.status, 500);
	}
}

static void
test_what_is_told_meanwhile(void **state)
{
	struct error cause = { 0 };
	_free_ char *text = NULL;

	error_set(&cause, 500, "%s", CAUSE);
	text = finding_begun(&cause);
	assert_string_equal(text, "how it ended is being found out: " CAUSE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_told),
		cmocka_unit_test(test_what_is_told_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
