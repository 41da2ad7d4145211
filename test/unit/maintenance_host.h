/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host of ops_host.h that goes into maintenance, or comes out of it. */
#ifndef TEST_MAINTENANCE_HOST_H
#define TEST_MAINTENANCE_HOST_H

#include "ops_host.h"

#include "ops/host_maintenance.h"

#define OP "b0000000-0000-4000-8000-000000000001" /* of another host */

static inline void
begin(void)
{
	host_maintenance_begin(
	    here.ctx.host_maintenance, ops_request(ROUTE_MAINTENANCE_BEGIN, SELF, "{}"));
}

static inline void
end(bool back)
{
	host_maintenance_end(
	    here.ctx.host_maintenance, ops_request(ROUTE_MAINTENANCE_END, SELF, "{}"), back);
}

/* The storage keeps what is to be kept. */
static inline void
keep(void)
{
	const struct maintenance_save_request *asked = ops_request_of(WORK_MAINTENANCE_SAVE);
	struct maintenance kept = { 0 };

	model_copy(&maintenance_model, &kept, &asked->maintenance);
	ops_end_job(WORK_MAINTENANCE_SAVE, &kept);
	model_clear(&maintenance_model, &kept);
}

/* Time goes on; whatever is to be kept is. */
static inline void
run(int64_t ms)
{
	for (int64_t at = 0; at < ms; at += 100) {
		ops_advance(100);
		if (ops_find_job(WORK_MAINTENANCE_SAVE))
			keep();
	}
}

static inline const struct maintenance *
record(void)
{
	return host_maintenance_get(here.ctx.host_maintenance);
}

/* What is kept of the VM; it must be there. */
static inline const struct maintenance_vm *
kept(const char *vm)
{
	for (size_t i = 0; i < record()->n_vms; i++) {
		if (str_equal(record()->vms[i].vm, vm))
			return &record()->vms[i];
	}
	fail_msg("VM '%s' is not kept", vm);
	return NULL;
}

static inline void
expect_failed(const char *operation, const char *words)
{
	const struct operation *found = operations_find(here.ctx.operations, operation);

	assert_non_null(found);
	assert_string_equal(found->state, "failed");
	if (!strstr(found->msg, words))
		fail_msg("no '%s' in '%s'", words, found->msg);
}

/* virtxd has been started, and this is what it finds: a maintenance that goes on, or that has ended
 * (restoring) with this VM on H2. */
static inline void
load(bool restoring, const char *vm)
{
	char user[] = "me", none[] = "", host[] = H2, uuid[37];
	struct maintenance_vm entry = { uuid, host, none };
	const struct maintenance kept = { 1600000000000, user, restoring, none, &entry,
		vm ? 1 : 0 };

	snprintf(uuid, sizeof(uuid), "%s", vm ? vm : "");
	ops_start();
	ops_add_host(H2, "h2", 4096);
	ops_end_job(WORK_MAINTENANCE_LOAD, &kept);
}

#endif
