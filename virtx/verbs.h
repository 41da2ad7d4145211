/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handlers of the commands, by the file of their verb. */
#ifndef VIRTX_VERBS_H
#define VIRTX_VERBS_H

#include "virtx/command.h"

/* list.c */
extern const struct option_row list_host_options[];
extern const struct option_row list_vm_options[];
enum command_result list_host(struct command_call *call, struct error *err);
enum command_result list_vm(struct command_call *call, struct error *err);
enum command_result list_operation(struct command_call *call, struct error *err);

/* get_host.c */
extern const struct option_row get_host_options[];
enum command_result get_host(struct command_call *call, struct error *err);

/* get_vm.c */
extern const struct option_row get_vm_options[];
enum command_result get_vm(struct command_call *call, struct error *err);
enum command_result get_runstate_vm(struct command_call *call, struct error *err);

/* operation.c */
enum command_result get_operation(struct command_call *call, struct error *err);

/* create.c */
extern const struct option_row create_vm_options[];
enum command_result create_vm(struct command_call *call, struct error *err);

/* update.c */
extern const struct option_row update_vm_options[];
enum command_result update_vm(struct command_call *call, struct error *err);

/* delete.c */
extern const struct option_row delete_vm_options[];
enum command_result delete_vm(struct command_call *call, struct error *err);

/* boot.c */
extern const struct option_row boot_vm_options[];
enum command_result boot_vm(struct command_call *call, struct error *err);

/* shutdown.c */
extern const struct option_row shutdown_vm_options[];
enum command_result shutdown_vm(struct command_call *call, struct error *err);

/* pause.c */
enum command_result pause_vm(struct command_call *call, struct error *err);
enum command_result resume_vm(struct command_call *call, struct error *err);

/* migrate.c */
extern const struct option_row migrate_vm_options[];
enum command_result migrate_vm(struct command_call *call, struct error *err);
enum command_result get_migrate_vm(struct command_call *call, struct error *err);
enum command_result abort_migrate_vm(struct command_call *call, struct error *err);

/* maintain.c */
extern const struct option_row maintain_host_options[];
enum command_result maintain_host(struct command_call *call, struct error *err);
enum command_result get_maintain_host(struct command_call *call, struct error *err);

/* forget.c */
enum command_result forget_host(struct command_call *call, struct error *err);

/* storage.c */
enum command_result storage_init(struct command_call *call, struct error *err);

/* watch.c */
enum command_result watch(struct command_call *call, struct error *err);

/* decode_event.c */
enum command_result decode_event(struct command_call *call, struct error *err);

/* register.c */
extern const struct option_row register_vm_options[];
enum command_result register_vm(struct command_call *call, struct error *err);

/* repair.c */
extern const struct option_row repair_options[];
enum command_result repair(struct command_call *call, struct error *err);

#endif
