/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every model of the API, for what must hold for all of them. */
#ifndef TEST_UNIT_MODELS_H
#define TEST_UNIT_MODELS_H

#include "proto/gossip.h"
#include "proto/cluster.h"
#include "proto/model.h"
#include "proto/token.h"

static const struct model *const api_models[] = {
	&cpuarch_model,
	&cpudef_model,
	&vmdef_memory_model,
	&numa_model,
	&disk_model,
	&net_model,
	&custom_field_model,
	&vmdef_model,
	&vmruninfo_model,
	&oplog_item_model,
	&oplog_list_model,
	&vmstats_model,
	&vm_model,
	&vm_list_fields_model,
	&vm_list_item_model,
	&vm_list_model,
	&vm_list_options_model,
	&vm_create_options_model,
	&vm_update_options_model,
	&vm_delete_options_model,
	&cloud_init_option_model,
	&vm_boot_options_model,
	&vm_shutdown_options_model,
	&vm_migrate_options_model,
	&vm_register_options_model,
	&vm_reservation_model,
	&vm_reservation_end_model,
	&transfer_progress_model,
	&migration_info_model,
	&hostresource_model,
	&hostresources_model,
	&hostdef_sysinfo_model,
	&hostdef_model,
	&host_problem_model,
	&repair_options_model,
	&repair_item_model,
	&repair_list_model,
	&host_model,
	&host_list_fields_model,
	&host_list_item_model,
	&host_list_model,
	&host_list_options_model,
	&operation_model,
	&operation_list_model,
	&operation_list_fields_model,
	&operation_list_options_model,
	&problem_model,
	&placement_candidate_model,
	&placement_model,
	&maintenance_options_model,
	&maintenance_end_options_model,
	&maintenance_plan_model,
	&maintenance_vm_model,
	&maintenance_model,
	&storage_model,
	&token_model,
	&token_list_model,
	&token_options_model,
	&token_made_model,
	&cluster_token_options_model,
	&cluster_token_model,
	&cluster_join_model,
	&cluster_member_model,
	&cluster_renewal_model,
	&cluster_certificates_model,
	&ready_model,
	&vm_listed_model,
	&vm_info_list_model,
};

static const struct model *const gossip_models[] = {
	&vm_event_model,
	&host_info_model,
	&host_digest_model,
};

#endif
