/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of the commands. */
#ifndef VIRTX_VERBS_H
#define VIRTX_VERBS_H

#include "virtx/command.h"

/* Each command, in the order of the help: V(boot_vm) stands for boot_vm_command. */
#define VERBS(V)             \
	V(list_host)         \
	V(list_vm)           \
	V(list_operation)    \
	V(get_host)          \
	V(get_vm)            \
	V(get_runstate_vm)   \
	V(get_operation)     \
	V(explain)           \
	V(create_vm)         \
	V(apply_vm)          \
	V(update_vm)         \
	V(set_vm)            \
	V(edit_vm)           \
	V(delete_vm)         \
	V(boot_vm)           \
	V(shutdown_vm)       \
	V(pause_vm)          \
	V(resume_vm)         \
	V(reset_vm)          \
	V(reboot_vm)         \
	V(migrate_vm)        \
	V(get_migrate_vm)    \
	V(abort_migrate_vm)  \
	V(maintain_host)     \
	V(get_maintain_host) \
	V(forget_host)       \
	V(failover_vm)       \
	V(failover_host)     \
	V(recall_vm)         \
	V(storage_init)      \
	V(token_create)      \
	V(token_list)        \
	V(token_revoke)      \
	V(user_certificate)  \
	V(cluster_init)      \
	V(cluster_token)     \
	V(cluster_join)      \
	V(cluster_status)    \
	V(cluster_renew)     \
	V(cluster_leave)     \
	V(ha)                \
	V(ha_plan)           \
	V(login)             \
	V(logout)            \
	V(context_list)      \
	V(context_show)      \
	V(context_use)       \
	V(wait_vm)           \
	V(wait_operation)    \
	V(watch)             \
	V(decode_event)      \
	V(register_vm)       \
	V(repair)

#define VERB_DECLARATION(name) extern const struct command name##_command;
VERBS(VERB_DECLARATION)

#endif
