/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done to a VM. */
#include <string.h>

#include "clock.h"
#include "net.h"
#include "steps.h"
#include "storage.h"

static struct world_domain *
domain_of(struct child *child)
{
	return &child->vm->domain[child->host];
}

static enum step
begin_log_at(struct child *child, enum world_op op, const char *msg, int64_t ts)
{
	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot record %s", world_op_names[op]);
	child->ts = ts;
	libvirt_log(child->vm, child->host, op, "started", child->ts, msg);
	return STEP_NEXT;
}

static enum step
begin_log(struct child *child, enum world_op op, const char *msg)
{
	return begin_log_at(child, op, msg, clock_wall(child->host));
}

/* Only logged where it fails. */
static void
end_log(struct child *child, enum world_op op, const char *status, const char *msg)
{
	if (step_has_libvirt(child) && (domain_of(child)->on || domain_of(child)->defined))
		libvirt_log(child->vm, child->host, op, status, child->ts, msg);
}

static enum step
done(struct child *child)
{
	return STEP_DONE;
}

static enum step
begun(struct child *child)
{
	step_set_stage(child, WORK_STAGE_BEGUN);
	return STEP_NEXT;
}

static enum step
is_made(struct child *child)
{
	step_set_stage(child, WORK_STAGE_DONE);
	return STEP_NEXT;
}

void
step_save_journal(struct child *child, enum world_op op)
{
	child->vm->journal[child->host] = (struct world_journal){
		.there = true, .op = op, .target = child->target, .ts = clock_wall(child->host)
	};
}

/* Create */

static enum step
create_journal(struct child *child)
{
	const struct vm_create_request *req = child->request;

	step_set_stage(child, WORK_STAGE_BEGUN);
	child->vm = world_add(req->uuid, &req->def);
	if (!child->vm) {
		step_set_stage(child, WORK_STAGE_NONE);
		return step_fail(child, 507, "the storage is full");
	}
	child->vm->lock[child->host] = child;
	step_save_journal(child, WORLD_OP_CREATE);
	return STEP_NEXT;
}

static enum step
create_lease(struct child *child)
{
	child->vm->lease = true;
	return STEP_NEXT;
}

static enum step
create_image(struct child *child)
{
	child->vm->image = true;
	return STEP_NEXT;
}

/* A failure is undone as far as that goes; vm-heal does the rest. */
static enum step
create_define(struct child *child)
{
	if (step_has_libvirt(child)) {
		libvirt_define(child->vm, child->host);
		return STEP_NEXT;
	}
	if (!domain_of(child)->defined) {
		child->vm->lease = child->vm->image = false;
		child->vm->journal[child->host].there = false;
		world_changed(child->vm);
		step_set_stage(child, WORK_STAGE_NONE);
	}
	return step_fail(child, 424, "libvirt refuses the VM");
}

static enum step
create_register(struct child *child)
{
	child->vm->registry[child->host] = true;
	world_changed(child->vm);
	return STEP_NEXT;
}

const step_fn steps_create[] = { step_lock, step_open_libvirt, create_journal, create_lease,
	create_image, create_define, create_register, step_report, is_made, step_roll_forward,
	NULL };

/* Delete */

static enum step
check_off(struct child *child)
{
	if (!domain_of(child)->on)
		return STEP_NEXT;
	error_set_type(&child->err, ERROR_NOT_OFF, "VM '%s' is not powered off", child->vm->uuid);
	return STEP_FAIL;
}

static enum step
delete_journal(struct child *child)
{
	const struct vm_delete_request *req = child->request;
	struct vm_result *res = child->result;

	step_set_stage(child, WORK_STAGE_BEGUN);
	step_save_journal(child, WORLD_OP_DELETE);
	child->vm->journal[child->host].deletestorage = req->deletestorage;
	res->gone = true;
	return STEP_NEXT;
}

static bool
is_same_deletion(const struct child *child)
{
	const struct vm_delete_request *req = child->request;

	return child->earlier.there && child->earlier.op == WORLD_OP_DELETE &&
	       (child->earlier.deletestorage || !req->deletestorage);
}

static enum step
delete_look(struct child *child)
{
	if (child->vm)
		child->earlier = child->vm->journal[child->host];
	if (is_same_deletion(child))
		step_set_stage(child, WORK_STAGE_BEGUN);
	return STEP_NEXT;
}

/* An earlier one may have been carried to its end just now. */
static enum step
delete_find(struct child *child)
{
	struct vm_result *res = child->result;
	int other;

	if (step_find(child) == STEP_NEXT)
		return STEP_NEXT;
	res->gone = error_is(&child->err, ERROR_NOT_FOUND) && is_same_deletion(child) &&
		    step_place(child->vm, child->host, &other) == PLACE_NOWHERE;
	return res->gone ? STEP_DONE : STEP_FAIL;
}

const step_fn steps_delete[] = { step_lock, step_open_libvirt, delete_look, step_recover,
	delete_find, check_off, step_check_owner, delete_journal, step_roll_forward, NULL };

/* Boot */

static enum step
boot_is_on(struct child *child)
{
	if (!domain_of(child)->on)
		return STEP_NEXT;
	error_set_type(&child->err,
	    domain_of(child)->stands ? ERROR_ALREADY_ON : ERROR_ALREADY_RUNNING,
	    "VM '%s' is on already", child->vm->uuid);
	return STEP_FAIL;
}

static enum step
boot_log(struct child *child)
{
	return begin_log(child, WORLD_OP_BOOT, "");
}

static enum step
boot_start(struct child *child)
{
	bool wanted = child->vm->wanted;

	child->vm->wanted = true;
	if (step_has_libvirt(child) && domain_of(child)->defined &&
	    libvirt_start(child->vm, child->host))
		return STEP_NEXT;
	child->vm->wanted = wanted;
	end_log(child, WORLD_OP_BOOT, "failed", "");
	if (step_has_libvirt(child) && !domain_of(child)->on)
		step_set_stage(child, WORK_STAGE_NONE);
	return step_fail(child, 424, "cannot boot VM '%s': cannot get its lock", child->vm->uuid);
}

static enum step
boot_end_log(struct child *child)
{
	end_log(child, WORLD_OP_BOOT, "completed", "");
	return STEP_NEXT;
}

const step_fn steps_boot[] = { step_lock, step_open_libvirt, step_recover, step_find, boot_is_on,
	step_check_owner, begun, boot_log, boot_start, boot_end_log, step_report, step_has_looked,
	NULL };

/* Shutdown */

static enum step
shutdown_is_off(struct child *child)
{
	if (domain_of(child)->on)
		return STEP_NEXT;
	error_set_type(&child->err, ERROR_ALREADY_OFF, "VM '%s' is off already", child->vm->uuid);
	return STEP_FAIL;
}

static enum step
shutdown_log(struct child *child)
{
	const struct vm_shutdown_request *req = child->request;

	return begin_log(child, WORLD_OP_SHUTDOWN, req->force == 0 ? "" : "forced");
}

static enum step
shutdown_act(struct child *child)
{
	const struct vm_shutdown_request *req = child->request;

	if (!step_has_libvirt(child) || !domain_of(child)->on) {
		end_log(child, WORLD_OP_SHUTDOWN, "failed", "");
		if (step_has_libvirt(child) && domain_of(child)->on)
			step_set_stage(child, WORK_STAGE_NONE);
		return step_fail(child, 424, "cannot shut down VM '%s'", child->vm->uuid);
	}
	child->vm->wanted = false;
	if (req->force == 0)
		libvirt_ask_guest(child->vm, child->host);
	else
		libvirt_destroy(child->vm, child->host);
	step_set_stage(child, WORK_STAGE_DONE);
	return STEP_NEXT;
}

static enum step
shutdown_end_log(struct child *child)
{
	const struct vm_shutdown_request *req = child->request;

	if (req->force != 0)
		end_log(child, WORLD_OP_SHUTDOWN, "completed", "");
	return STEP_NEXT;
}

const step_fn steps_shutdown[] = { step_lock, step_open_libvirt, step_find, shutdown_is_off, begun,
	shutdown_log, shutdown_act, shutdown_end_log, step_report, step_has_looked, NULL };

/* Pause and resume */

static enum step
check_running(struct child *child, bool runs)
{
	enum vmrunstate runstate = world_runstate(domain_of(child));

	if (runstate == (runs ? VMRUNSTATE_RUNNING : VMRUNSTATE_PAUSED))
		return STEP_NEXT;
	error_set_type(&child->err, ERROR_NOT_RUNNING, "VM '%s' is %s", child->vm->uuid,
	    enum_word(&vmrunstate_enum, runstate));
	return STEP_FAIL;
}

static enum step
pause_check(struct child *child)
{
	return check_running(child, true);
}

static enum step
pause_log(struct child *child)
{
	return begin_log(child, WORLD_OP_PAUSE, "");
}

static enum step
pause_act(struct child *child)
{
	if (!step_has_libvirt(child) || !domain_of(child)->on) {
		end_log(child, WORLD_OP_PAUSE, "failed", "");
		return step_fail(child, 424, "cannot pause VM '%s'", child->vm->uuid);
	}
	libvirt_pause(child->vm, child->host);
	return STEP_NEXT;
}

static enum step
pause_end_log(struct child *child)
{
	end_log(child, WORLD_OP_PAUSE, "completed", "");
	return STEP_NEXT;
}

const step_fn steps_pause[] = { step_lock, step_open_libvirt, step_find, pause_check, begun,
	pause_log, pause_act, pause_end_log, step_report, step_has_looked, NULL };

static enum step
resume_check(struct child *child)
{
	return check_running(child, false);
}

static enum step
resume_log(struct child *child)
{
	return begin_log(child, WORLD_OP_RESUME, "");
}

static enum step
resume_act(struct child *child)
{
	if (step_check_owner(child) == STEP_NEXT && step_has_libvirt(child) &&
	    libvirt_resume(child->vm, child->host))
		return STEP_NEXT;
	end_log(child, WORLD_OP_RESUME, "failed", "");
	if (domain_of(child)->on && domain_of(child)->stands)
		step_set_stage(child, WORK_STAGE_NONE);
	return step_fail(child, 424, "cannot resume VM '%s'", child->vm->uuid);
}

static enum step
resume_end_log(struct child *child)
{
	end_log(child, WORLD_OP_RESUME, "completed", "");
	return STEP_NEXT;
}

const step_fn steps_resume[] = { step_lock, step_open_libvirt, step_find, resume_check, begun,
	resume_log, resume_act, resume_end_log, step_report, step_has_looked, NULL };

/* Migrate */

static enum step
migrate_check(struct child *child)
{
	const struct vm_migrate_request *req = child->request;
	const struct world_domain *domain = domain_of(child), *there;
	enum vmrunstate runstate = world_runstate(domain);

	child->target = world_host(req->target);
	if (req->live && runstate != VMRUNSTATE_RUNNING && runstate != VMRUNSTATE_PAUSED)
		return step_fail(child, 422, "VM '%s' is not on", req->uuid);
	if (!req->live && domain->on) {
		error_set_type(&child->err, ERROR_NOT_OFF, "VM '%s' is on", req->uuid);
		return STEP_FAIL;
	}
	there = &child->vm->domain[child->target];
	if (!libvirt_is_up(child->target) || !net_is_open(child->host, child->target))
		step_fail(child, 503, "cannot connect to libvirt of host '%s'", req->target);
	else if (there->defined || there->on || there->coming)
		step_fail(child, 422, "host '%s' has VM '%s' already", req->target, req->uuid);
	else if (child->vm->journal[child->target].there)
		step_fail(child, 503, "an earlier operation on VM '%s' is not over on host '%s'",
		    req->uuid, req->target);
	else
		return STEP_NEXT;
	memcpy(child->err.host, world.hosts[child->target], UUID_TEXT_SIZE);
	return STEP_FAIL;
}

static enum step
migrate_journal(struct child *child)
{
	const struct vm_migrate_request *req = child->request;

	step_set_stage(child, WORK_STAGE_BEGUN);
	step_save_journal(child, WORLD_OP_MIGRATE);
	child->vm->journal[child->host].live = req->live;
	if (child->ops)
		child->ops->progress(child->arg, 0, child->stage);
	return STEP_NEXT;
}

static enum step
migrate_log(struct child *child)
{
	child->adrift = begin_log_at(child, WORLD_OP_MIGRATE, world.hosts[child->target],
			    child->vm->journal[child->host].ts) == STEP_FAIL;
	return STEP_NEXT;
}

static bool
go_cold(struct child *child)
{
	struct world_domain *there = &child->vm->domain[child->target];

	if (!libvirt_is_up(child->target) || !net_is_open(child->host, child->target) ||
	    there->on || there->coming)
		return false;
	memcpy(there->log, domain_of(child)->log, sizeof(there->log));
	libvirt_define(child->vm, child->target);
	return true;
}

static enum step
migrate_go(struct child *child)
{
	const struct vm_migrate_request *req = child->request;
	bool ok;

	if (child->adrift)
		return STEP_NEXT;
	if (!req->live) {
		child->adrift = !step_has_libvirt(child) || !go_cold(child);
		return STEP_NEXT;
	}
	if (!child->migration) {
		if (step_has_libvirt(child))
			child->migration = libvirt_migrate(child->vm, child->host, child->target);
		child->adrift = !child->migration;
		return child->adrift ? STEP_NEXT : STEP_AGAIN;
	}
	child->wait = 100;
	if (!libvirt_migrated(child->migration, &ok))
		return STEP_AGAIN;
	child->wait = 0;
	child->migration = NULL;
	child->adrift = !ok;
	return STEP_NEXT;
}

static enum step
migrate_settle(struct child *child)
{
	struct vm_result *res = child->result;
	enum step step = storage_state(child->host) == STORAGE_FAILS ? step_fail_storage(child)
								     : step_settle(child);

	if (step == STEP_AGAIN)
		return step;
	if (step == STEP_FAIL) {
		res->moved = !child->adrift;
		return child->adrift ? step_fail(child, 424,
					   "cannot migrate VM '%s'; where it is now is found out "
					   "again",
					   child->vm->uuid)
				     : STEP_DONE;
	}
	res->moved = child->moved;
	if (child->moved)
		return STEP_DONE;
	step_set_stage(child, WORK_STAGE_NONE);
	if (!child->adrift)
		return step_fail(child, 500, "VM '%s' is still here", child->vm->uuid);
	end_log(child, WORLD_OP_MIGRATE, "failed", world.hosts[child->target]);
	return step_fail(child, 424, "cannot migrate VM '%s'", child->vm->uuid);
}

const step_fn steps_migrate[] = { step_lock, step_open_libvirt, step_recover, step_find,
	step_check_owner, migrate_check, migrate_journal, migrate_log, migrate_go, migrate_settle,
	done, NULL };

static enum step
abort_act(struct child *child)
{
	const struct migration_control_request *req = child->request;
	struct world_vm *vm = world_find(req->uuid);

	if (!vm || !step_has_libvirt(child) || !vm->domain[child->host].is_leaving)
		return step_fail(child, 424, "VM '%s' does not migrate", req->uuid);
	libvirt_abort(vm, child->host);
	child->vm = vm;
	return STEP_NEXT;
}

const step_fn steps_abort[] = { step_open_libvirt, abort_act, step_report, step_has_looked, NULL };

/* Heal */

/* As reason_shutdown(), of one that is on. */
static const char *
shutdown_status(const struct world_domain *domain)
{
	const struct world_log *down = &domain->log[WORLD_OP_SHUTDOWN];
	const struct world_log *boot = &domain->log[WORLD_OP_BOOT];

	if (boot->status && strcmp(boot->status, "failed") != 0 && boot->ts > down->ts)
		return "completed";
	return *down->msg ? "failed" : "started";
}

static void
heal_log(struct child *child)
{
	struct world_domain *domain = domain_of(child);

	for (int op = 0; op < WORLD_OPS_LOGGED; op++) {
		struct world_log *log = &domain->log[op];
		const char *status = "failed";
		char msg[UUID_TEXT_SIZE];

		if (!log->status || strcmp(log->status, "started") != 0)
			continue;
		if (op == WORLD_OP_SHUTDOWN)
			status = domain->on ? shutdown_status(domain) : "completed";
		else if ((op == WORLD_OP_BOOT && domain->on) ||
			 (op == WORLD_OP_MIGRATE && str_equal(log->msg, world.hosts[child->host])))
			status = "completed";
		if (strcmp(status, "started") == 0)
			continue;
		memcpy(msg, log->msg, sizeof(msg));
		libvirt_log(child->vm, child->host, (enum world_op)op, status, log->ts, msg);
	}
}

static enum step
heal_vm(struct child *child)
{
	struct vm_result *res = child->result;
	struct world_vm *vm = child->vm;
	int other;
	enum step_place place;

	if (!step_has_libvirt(child))
		return step_fail(child, 424, "cannot look up the VM");
	if (!vm || !domain_of(child)->defined) {
		res->gone = true;
		return STEP_NEXT;
	}
	(void)step_check_owner(child);
	child->err = (struct error){ 0 };
	place = step_place(vm, child->host, &other);
	if (step_is_leftover(vm, child->host)) {
		libvirt_undefine(vm, child->host);
		res->gone = true;
		return STEP_NEXT;
	}
	if (place != PLACE_COMING && place != PLACE_ELSEWHERE)
		heal_log(child);
	step_report_vm(vm, child->host, &res->vm);
	return STEP_NEXT;
}

/* As vm_verdict(). */
static enum step
heal_verdict(struct child *child)
{
	const struct vm_heal_request *req = child->request;
	struct vm_result *res = child->result;
	bool off = res->vm.runstate == VMRUNSTATE_POWEROFF;
	int other;
	enum step_place place = step_place(child->vm, child->host, &other);

	if (str_equal(req->op, "VmMigrate")) {
		res->done = res->moved = (place == PLACE_ELSEWHERE || place == PLACE_COMING) &&
					 str_equal(world.hosts[other], req->target);
		res->gone = res->gone && !res->moved;
	} else if (str_equal(req->op, "VmDelete"))
		res->done = res->gone && place == PLACE_NOWHERE;
	else if (res->gone)
		res->done = false;
	else if (str_equal(req->op, "VmCreate"))
		res->done = place == PLACE_HERE;
	else if (str_equal(req->op, "VmBoot"))
		res->done = !off;
	else if (str_equal(req->op, "VmShutdown"))
		res->done = off;
	else if (str_equal(req->op, "VmPause"))
		res->done = res->vm.runstate == VMRUNSTATE_PAUSED;
	else if (str_equal(req->op, "VmResume"))
		res->done = res->vm.runstate == VMRUNSTATE_RUNNING;
	return STEP_NEXT;
}

const step_fn steps_heal[] = { step_lock, step_open_libvirt, step_recover, heal_vm, heal_verdict,
	NULL };

/* Libvirt opens images and takes leases. */
const step_fn vm_steps_on_storage[] = { create_journal, create_lease, create_image, create_register,
	delete_look, delete_find, delete_journal, boot_start, resume_act, migrate_check,
	migrate_journal, heal_vm, heal_verdict, NULL };
const step_fn vm_steps_asking_storage[] = { migrate_settle, NULL };
