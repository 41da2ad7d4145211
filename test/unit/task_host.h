/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host of ops_host.h with a VM that is off, whose boot is asked for. */
#ifndef TEST_TASK_HOST_H
#define TEST_TASK_HOST_H

#include "ops_host.h"

#include "ops/task.h"

static inline int
setup_up(void **state)
{
	ops_setup(state);
	ops_up();
	ops_add_vm(VM1, VMRUNSTATE_POWEROFF);
	return 0;
}

#define TASK(function) cmocka_unit_test_setup_teardown(function, setup_up, ops_teardown)

/* The id as the operation has it, which outlives its task. */
static inline const char *
kept(const char *operation)
{
	return operation ? operations_find(here.ctx.operations, operation)->id : NULL;
}

/* A VM is booted, by a client that waits unless it says otherwise. */
static inline const char *
boot(struct request *req)
{
	char vm[] = VM1;
	struct vm_boot_request request = { .uuid = vm };

	return kept(task_start(&here.ctx, req, WORK_VM_BOOT, &request, VM1, 204));
}

static inline struct request *
boot_request(void)
{
	return ops_request(ROUTE_VM_BOOT, VM1, "{}");
}

#endif
