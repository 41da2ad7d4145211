/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migrating a VM, how far it is, and aborting it. */
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "api/action.h"
#include "api/context.h"
#include "api/departure.h"
#include "api/handlers.h"
#include "api/migration.h"
#include "api/placing.h"
#include "proto/log.h"
#include "proto/uuid.h"
#include "proto/vmdef.h"

#define WATCH_SECONDS 1
#define AGAIN_MS      5000

/* Follows a migration from its start to its end: its progress, and its timeout. */
struct migration {
	LIST_ENTRY(migration) link;
	struct api *api;
	struct event *timer;
	char vm[UUID_TEXT_SIZE];
	char operation[UUID_TEXT_SIZE];
	int64_t due; /* monotonic ms, 0 for never */
	enum migration_timeout action;
	bool asking; /* a job reads how far it is */
};

static void
migration_free(struct migration *migration)
{
	LIST_REMOVE(migration, link);
	event_free(migration->timer);
	free(migration);
}

void
migrations_free(struct api *api)
{
	struct migration *migration;

	while ((migration = LIST_FIRST(&api->migrations)))
		migration_free(migration);
}

static struct migration *
find(struct api *api, const char *operation)
{
	struct migration *migration;

	LIST_FOREACH (migration, &api->migrations, link) {
		if (str_equal(migration->operation, operation))
			return migration;
	}
	return NULL;
}

/* Jobs outlive what asked for them. */
struct asked {
	struct api *api;
	char operation[UUID_TEXT_SIZE];
};

static void
on_info(void *arg, void *result, const struct error *err)
{
	struct asked *asked = arg;
	struct migration *migration = find(asked->api, asked->operation);
	const struct migration_info *info = result;
	const struct transfer_progress *progress = info ? &info->progress : NULL;

	if (migration)
		migration->asking = false;
	/* What the guest changes is sent again: the share that is left tells more than what was
	 * sent. */
	if (migration && info && info->state == MIGRATION_STATE_ACTIVE && progress->total > 0 &&
	    progress->remaining <= progress->total)
		operations_progress(asked->api->operations, asked->operation,
		    (int)((progress->total - progress->remaining) * 99 / progress->total));
	free(asked);
}

static void
on_control(void *arg, void *result, const struct error *err)
{
	struct asked *asked = arg;
	struct migration *migration = find(asked->api, asked->operation);

	if (!result) {
		log_warning("api", "migration %s took too long: %s", asked->operation, err->detail);
		/* Its job may not have begun yet. */
		if (migration)
			migration->due = monotonic_ms() + AGAIN_MS;
	}
	free(asked);
}

static struct asked *
ask(const struct migration *migration)
{
	struct asked *asked = xcalloc(1, sizeof(*asked));

	asked->api = migration->api;
	memcpy(asked->operation, migration->operation, sizeof(asked->operation));
	return asked;
}

static void
start_action(struct migration *migration)
{
	struct migration_control_request req = {
		.env = *keeper_env(migration->api->keeper),
		.uuid = migration->vm,
		.action = migration->action,
	};
	struct asked *asked = ask(migration);
	struct error err = { 0 };

	log_info("api", "the migration of VM '%s' takes too long: %s", migration->vm,
	    enum_word(&migration_timeout_enum, migration->action));
	migration->due = 0;
	if (!job_start(migration->api->jobs, WORK_MIGRATION_CONTROL, &req, NULL, "", NULL,
		on_control, asked, &err))
		on_control(asked, NULL, &err);
}

static void
start_info(struct migration *migration)
{
	struct vm_request req = { .env = *keeper_env(migration->api->keeper),
		.uuid = migration->vm };
	struct asked *asked = ask(migration);
	struct error err = { 0 };

	migration->asking = true;
	if (!job_start(migration->api->jobs, WORK_MIGRATION_INFO, &req, NULL, "", NULL, on_info,
		asked, &err))
		on_info(asked, NULL, &err);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct migration *migration = arg;
	const struct operation *operation =
	    operations_find(migration->api->operations, migration->operation);

	if (!operation || !str_equal(operation->state, "started")) {
		migration_free(migration);
		return;
	}
	if (migration->due && monotonic_ms() >= migration->due)
		start_action(migration);
	else if (!migration->asking)
		start_info(migration);
}

void
migration_follow(struct api *api, const char *vm, const char *operation,
    const struct vm_migrate_options *options)
{
	struct timeval tv = { .tv_sec = WATCH_SECONDS };
	struct migration *migration;

	if (find(api, operation))
		return;
	migration = xcalloc(1, sizeof(*migration));
	migration->api = api;
	snprintf(migration->vm, sizeof(migration->vm), "%s", vm);
	snprintf(migration->operation, sizeof(migration->operation), "%s", operation);
	migration->action = options->timeout_action;
	if (options->timeout > 0)
		migration->due = monotonic_ms() + options->timeout * INT64_C(1000);
	migration->timer = event_new(api->base, -1, EV_PERSIST, on_timer, migration);
	evtimer_add(migration->timer, &tv);
	LIST_INSERT_HEAD(&api->migrations, migration, link);
}

/* Explains the host that is named, or all; why: the VM cannot leave, NULL where nothing keeps it.
 */
static void
explain(struct api *api, struct request *req, const struct inventory_vm *view,
    const struct vm_migrate_options *options, const char *why)
{
	char target[UUID_TEXT_SIZE] = "";
	struct placement_need need = {
		.vm = view->vm.uuid,
		.from = inventory_self(api->inventory),
		.target = target,
		.def = &view->vm.def,
	};
	struct error err = { 0 };

	if (!str_empty(options->host) && uuid_normalize(options->host, target) == 0 &&
	    !inventory_find_host(api->inventory, target)) {
		error_set(&err, 404, "no host '%s' is known", target);
		request_reply_error(req, &err);
		return;
	}
	placing_explain_stay(api, req, &need, why);
}

static void
on_looked(struct api *api, struct request *req, const void *result, const struct error *err)
{
	const struct vm_stays_result *stays = result;
	struct vm_migrate_options options = { 0 };

	if (err) {
		request_reply_error(req, err);
		return;
	}
	if (action_read(req, &options) < 0)
		return;
	if (action_find_vm(api, req) == 0)
		explain(api, req, inventory_find_vm(api->inventory, req->param), &options,
		    stays->n_vms > 0 ? stays->vms[0].why : NULL);
	model_clear(&vm_migrate_options_model, &options);
}

/* What keeps the VM here is known where it is. */
static void
look(struct api *api, struct request *req, const struct vm_migrate_options *options)
{
	struct work_uuid vm = { .uuid = req->param };
	const struct vm_stays_request stays = {
		.env = *keeper_env(api->keeper),
		.vms = &vm,
		.n_vms = 1,
		.live = options->migration_type == MIGRATION_TYPE_LIVE,
	};

	if (action_check_ready(api, req, ACTION_NEEDS_LIBVIRT) == 0)
		action_look(api, req, WORK_VM_STAYS, &stays, on_looked);
}

static void
migrate(
    struct api *api, struct request *req, const struct vm_migrate_options *options, bool dry_run)
{
	if (dry_run)
		look(api, req, options);
	else if (action_check_ready(api, req, ACTION_NEEDS_LOCKSPACE) == 0)
		departure_start(api, req, options);
}

void
api_vm_migrate(struct api *api, struct request *req)
{
	struct vm_migrate_options options = { 0 };
	struct error err = { 0 };
	bool dry_run;

	if (action_read(req, &options) < 0)
		return;
	if (request_flag(req, "dry_run", &dry_run, &err) < 0 ||
	    vm_migrate_options_check(&options, &err) < 0)
		request_reply_error(req, &err);
	else if (action_find_vm(api, req) == 0)
		migrate(api, req, &options, dry_run);
	model_clear(&vm_migrate_options_model, &options);
}

void
api_migration_get(struct api *api, struct request *req)
{
	struct vm_request request = { 0 };

	if (action_find_vm(api, req) < 0 || action_check_ready(api, req, ACTION_NEEDS_LIBVIRT) < 0)
		return;
	request.env = *keeper_env(api->keeper);
	request.uuid = req->param;
	action_ask(api, req, WORK_MIGRATION_INFO, &request);
}

void
api_migration_abort(struct api *api, struct request *req)
{
	struct migration_control_request request = { .action = MIGRATION_TIMEOUT_ABORT };

	if (action_find_vm(api, req) < 0 || action_check_ready(api, req, ACTION_NEEDS_LIBVIRT) < 0)
		return;
	request.env = *keeper_env(api->keeper);
	request.uuid = req->param;
	action_start(api, req, WORK_MIGRATION_CONTROL, &request, req->param, 204);
}
