/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "state/reason.h"

#define ITEM(o, t, s, m)                                        \
	{                                                       \
		.op = (o), .ts = (t), .status = (s), .msg = (m) \
	}

static char boot[] = "VmBoot", pause_op[] = "VmPause", down[] = "VmShutdown", resume[] = "VmResume",
	    migrate[] = "VmMigrate";
static char completed[] = "completed", failed[] = "failed", none[] = "", why[] = "no such file";
static char ended[] = REASON_UNPROTECTED ": why";

static void
test_by_whom(void **state)
{
	struct {
		const char *told;
		struct oplog_item items[3];
		const char *expected;
		const char *loss;
	} rows[] = {
		{ NULL, { ITEM(boot, 1, completed, none) }, "", NULL },
		{ "I/O error on disk 'vda'", { ITEM(pause_op, 1, completed, none) },
		    "I/O error on disk 'vda'", NULL },
		{ REASON_PAUSED,
		    { ITEM(boot, 1, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by VmPause", NULL },
		{ REASON_PAUSED,
		    { ITEM(resume, 3, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by another program than VirtX", NULL },
		{ REASON_PAUSED,
		    { ITEM(migrate, 3, failed, why), ITEM(pause_op, 2, completed, none) },
		    "it was paused by VmPause", NULL },
		{ REASON_PAUSED,
		    { ITEM(migrate, 3, completed, none), ITEM(pause_op, 2, completed, none) },
		    "it was paused by another program than VirtX", NULL },
		{ REASON_DESTROYED, { ITEM(boot, 3, failed, why), ITEM(down, 2, completed, none) },
		    "it was ended by force by VmShutdown", NULL },
		{ REASON_SHUTDOWN,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) },
		    "the guest shut down as VmShutdown asked it to", NULL },
		{ REASON_SHUTDOWN,
		    { ITEM(boot, 3, completed, none), ITEM(down, 2, completed, none) },
		    "the guest shut down of its own accord", NULL },
		{ REASON_DESTROYED, { ITEM(boot, 1, completed, none), ITEM(down, 2, failed, none) },
		    "it was ended by force by another program than VirtX", NULL },
		{ REASON_FAILED, { ITEM(boot, 1, failed, why) }, "it could not start: no such file",
		    NULL },
		{ REASON_FAILED, { ITEM(down, 1, completed, none) }, "it could not start", NULL },
		{ REASON_SHUTDOWN, { ITEM(boot, 1, completed, none) },
		    "its leases were lost: sanlock has ended", "sanlock has ended" },
		{ REASON_SHUTDOWN, { ITEM(boot, 1, completed, none) },
		    "the guest shut down of its own accord", "" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 3, completed, none), ITEM(down, 2, completed, none) },
		    "its leases were lost: sanlock has ended", "sanlock has ended" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, none) },
		    "it was ended by force by VmShutdown", "sanlock has ended" },
		{ REASON_DESTROYED,
		    { ITEM(boot, 1, completed, none), ITEM(down, 2, completed, ended) },
		    "it was ended by force by kill_unprotected: why", "sanlock has ended" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct oplog_list oplog = { rows[i].items, rows[i].items[1].op ? 2 : 1 };
		_free_ char *text = reason_explain(rows[i].told, &oplog, rows[i].loss);

		assert_string_equal(text, rows[i].expected);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
