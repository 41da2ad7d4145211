/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The route table: every endpoint with its method, path and bodies. The daemon serves it, the CLI
 * calls by it. */
#ifndef PROTO_ROUTES_H
#define PROTO_ROUTES_H

#include "proto/role.h"

enum method {
	METHOD_GET = 1 << 0,
	METHOD_POST = 1 << 1,
	METHOD_PUT = 1 << 2,
	METHOD_DELETE = 1 << 3,
	METHOD_HEAD = 1 << 4,
};

/* Where virtxd's UNIX socket is: its name in the folder run_dir, and all of it by default. */
#define API_SOCKET_NAME "virtxd.sock"
#define API_SOCKET	"/run/virtx/" API_SOCKET_NAME

/* Each endpoint: its id, and the function of virtxd that answers it. */
#define ROUTES(R)                                         \
	R(ROUTE_HOST_LIST, api_host_list)                 \
	R(ROUTE_HOST_GET, api_host_get)                   \
	R(ROUTE_HOST_FORGET, api_host_forget)             \
	R(ROUTE_VM_LIST, api_vm_list)                     \
	R(ROUTE_VM_CREATE, api_vm_create)                 \
	R(ROUTE_VM_GET, api_vm_get)                       \
	R(ROUTE_VM_UPDATE, api_vm_update)                 \
	R(ROUTE_VM_DELETE, api_vm_delete)                 \
	R(ROUTE_VM_RUNSTATE_GET, api_vm_runstate_get)     \
	R(ROUTE_VM_BOOT, api_vm_boot)                     \
	R(ROUTE_VM_SHUTDOWN, api_vm_shutdown)             \
	R(ROUTE_VM_PAUSE, api_vm_pause)                   \
	R(ROUTE_VM_RESUME, api_vm_resume)                 \
	R(ROUTE_VM_RESET, api_vm_reset)                   \
	R(ROUTE_VM_REBOOT, api_vm_reboot)                 \
	R(ROUTE_VM_MIGRATE, api_vm_migrate)               \
	R(ROUTE_MIGRATION_GET, api_migration_get)         \
	R(ROUTE_MIGRATION_ABORT, api_migration_abort)     \
	R(ROUTE_VM_REGISTER, api_vm_register)             \
	R(ROUTE_VM_FAILOVER, api_vm_failover)             \
	R(ROUTE_VM_RECALL, api_vm_recall)                 \
	R(ROUTE_VM_RESERVE, api_vm_reserve)               \
	R(ROUTE_VM_RESERVE_END, api_vm_reserve_end)       \
	R(ROUTE_HOST_REPAIR, api_host_repair)             \
	R(ROUTE_MAINTENANCE_GET, api_maintenance_get)     \
	R(ROUTE_MAINTENANCE_BEGIN, api_maintenance_begin) \
	R(ROUTE_MAINTENANCE_END, api_maintenance_end)     \
	R(ROUTE_STORAGE_INIT, api_storage_init)           \
	R(ROUTE_TOKEN_LIST, api_token_list)               \
	R(ROUTE_TOKEN_CREATE, api_token_create)           \
	R(ROUTE_TOKEN_REVOKE, api_token_revoke)           \
	R(ROUTE_CLUSTER_TOKEN, api_cluster_token)         \
	R(ROUTE_CLUSTER_JOIN, api_cluster_join)           \
	R(ROUTE_CLUSTER_RENEW, api_cluster_renew)         \
	R(ROUTE_OPERATION_LIST, api_operation_list)       \
	R(ROUTE_OPERATION_GET, api_operation_get)         \
	R(ROUTE_GOSSIP_VMS, api_gossip_vms)               \
	R(ROUTE_EVENTS, api_events)                       \
	R(ROUTE_METRICS, api_metrics)                     \
	R(ROUTE_HA_PLAN, api_ha_plan)                     \
	R(ROUTE_PROBLEM_GET, api_problem_get)             \
	R(ROUTE_OPENAPI, api_openapi)                     \
	R(ROUTE_HEALTHZ, api_healthz)                     \
	R(ROUTE_READYZ, api_readyz)

#define ROUTE_ID(id, handler) id,
enum route_id {
	ROUTES(ROUTE_ID) ROUTE_N,
};

#define ROUTE_PARAMETERS_MAX 2

/* Which host has the answer. */
enum scope {
	SCOPE_HERE,	 /* any */
	SCOPE_VM,	 /* that of the VM in the path */
	SCOPE_HOST,	 /* that in the path */
	SCOPE_BODY,	 /* that in the body's "host"; none there: any */
	SCOPE_QUERY,	 /* that in the query's "host"; none there: any */
	SCOPE_OPERATION, /* that which keeps the operation in the path */
};

struct route {
	enum route_id id;
	enum method method;
	const char
	    *path; /* "/vms/{uuid}/runstate/boot"; {uuid} must be a UUID, {id} is any one segment */
	const struct model *request; /* of the body, NULL for none */
	const struct model *reply;   /* of the 200 body, NULL where it is none or no model */
	int success;		     /* 200, 201, 202 or 204 */
	const char *op; /* the operation's name ("VmBoot") of a mutating request, else NULL */
	const char *summary;
	enum scope scope;
	enum role role; /* see role_may */
	/* Of the query; NULL ends. A list takes the fields of its filter, too. */
	const char *parameters[ROUTE_PARAMETERS_MAX + 1];
};

extern const struct route routes[ROUTE_N]; /* indexed by route_id */

enum route_match {
	ROUTE_FOUND,
	ROUTE_NO_PATH,	   /* 404 */
	ROUTE_NO_METHOD,   /* 405; *allow says which there are (HEAD where GET is) */
	ROUTE_BAD_UUID,	   /* 400 */
	ROUTE_BAD_ENCODING /* 400: a path that does not percent-decode, or to a NUL or slash inside
			      a segment */
};

/*
 * Finds the route of a raw (still percent-encoded) path without its query. HEAD finds the GET
 * route. param (NULL or size bytes) receives the path parameter: a normalised UUID, or the id.
 */
enum route_match route_find(enum method method, const char *raw_path, const struct route **ret,
    char *param, size_t param_size, unsigned int *allow);
/* "GET" .. ; and back, 0 for an unknown word. */
const char *method_word(enum method method);
enum method method_parse(const char *word);
/* Writes the path with its parameter filled in; the caller frees. */
char *route_path(enum route_id id, const char *param);

#endif
