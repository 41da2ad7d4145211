/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/maintenance_record.h"

#include "domain/maintenance_file.h"
#include "proto/log.h"

#define AGAIN_MS 1000 /* until what the storage refused is tried again */

void
maintenance_record_init(struct maintenance_record *record, struct context *ctx,
    const struct maintenance_record_ops *ops, void *arg)
{
	record->ctx = ctx;
	record->ops = ops;
	record->arg = arg;
	record->why = xstrdup("libvirt has not told this host's uuid yet");
}

void
maintenance_record_clear(struct maintenance_record *record)
{
	model_clear(&maintenance_model, &record->now);
	free(record->why);
}

struct maintenance_vm *
maintenance_record_find(struct maintenance_record *record, const char *vm)
{
	for (size_t i = 0; i < record->now.n_vms; i++) {
		if (str_equal(record->now.vms[i].vm, vm))
			return &record->now.vms[i];
	}
	return NULL;
}

void
maintenance_record_set(
    struct maintenance_record *record, const char *vm, const char *host, const char *reason)
{
	struct maintenance_vm *entry = maintenance_record_find(record, vm);

	if (!entry) {
		entry = model_append(&record->now.vms, &record->now.n_vms);
		entry->vm = xstrdup(vm);
		record->dirty_vms = true;
	}
	str_set(&entry->host, host);
	str_set(&entry->reason, reason);
	record->dirty = true;
}

void
maintenance_record_replace(struct maintenance_record *record)
{
	str_set(&record->why, "");
	record->damaged = false;
}

void
maintenance_record_reread(struct maintenance_record *record, const char *why)
{
	str_set(&record->why, why);
	record->dirty = record->dirty_vms = false;
	record->again = monotonic_ms() + AGAIN_MS;
}

static void
load_done(void *arg, void *result, const struct error *err)
{
	struct maintenance_record *record = arg;

	record->busy = false;
	/* Somebody has replaced it meanwhile. */
	if (str_empty(record->why))
		return;
	record->damaged = !result && err->status == MAINTENANCE_FILE_DAMAGED;
	if (!result) {
		if (!str_equal(record->why, err->detail))
			log_warning("ops", "whether this host is in maintenance cannot be read: %s",
			    err->detail);
		str_set(&record->why, err->detail);
		record->again = monotonic_ms() + AGAIN_MS;
		return;
	}
	str_set(&record->why, "");
	model_copy(&maintenance_model, &record->now, result);
	record->ops->loaded(record->arg);
}

static void
save_done(void *arg, void *result, const struct error *err)
{
	static struct log_limit limit;
	struct maintenance_record *record = arg;
	bool latest = !record->dirty;

	record->busy = false;
	if (latest && err) {
		log_limited(&limit, 5, "ops", "the maintenance of this host cannot be kept: %s",
		    err->detail);
		record->dirty = true;
		record->again = monotonic_ms() + AGAIN_MS;
	} else if (latest) {
		record->dirty_vms = false;
	}
	record->ops->saved(record->arg, latest, err);
}

static void
start(struct maintenance_record *record, enum work_id work, const void *request, job_done done)
{
	struct error err = { 0 };

	record->busy = true;
	if (!job_start(record->ctx->jobs, work, request, NULL, "", NULL, done, record, &err))
		done(record, NULL, &err);
}

void
maintenance_record_run(struct maintenance_record *record)
{
	if (record->busy || str_empty(inventory_self(record->ctx->inventory)) ||
	    monotonic_ms() < record->again)
		return;
	if (!str_empty(record->why)) {
		struct maintenance_load_request req = { 0 };

		/* A storage that is not there would tell of no maintenance. */
		if (!str_empty(keeper_storage_why(record->ctx->keeper)))
			return;
		start(record, WORK_MAINTENANCE_LOAD, &req, load_done);
	} else if (record->dirty) {
		struct maintenance_save_request req = { .maintenance = record->now };

		record->dirty = false;
		start(record, WORK_MAINTENANCE_SAVE, &req, save_done);
	}
}
