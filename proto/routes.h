/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The route table: every endpoint with its method, path and bodies. The daemon serves it, the CLI
 * calls by it. */
#ifndef PROTO_ROUTES_H
#define PROTO_ROUTES_H

#include "proto/table.h"

enum method {
	METHOD_GET = 1 << 0,
	METHOD_POST = 1 << 1,
	METHOD_PUT = 1 << 2,
	METHOD_DELETE = 1 << 3,
	METHOD_HEAD = 1 << 4,
};

enum route_id {
	ROUTE_HOST_LIST,
	ROUTE_HOST_GET,
	ROUTE_HOST_FORGET,
	ROUTE_VM_LIST,
	ROUTE_VM_CREATE,
	ROUTE_VM_GET,
	ROUTE_VM_UPDATE,
	ROUTE_VM_DELETE,
	ROUTE_VM_RUNSTATE_GET,
	ROUTE_VM_BOOT,
	ROUTE_VM_SHUTDOWN,
	ROUTE_VM_PAUSE,
	ROUTE_VM_RESUME,
	ROUTE_VM_MIGRATE,
	ROUTE_MIGRATION_GET,
	ROUTE_MIGRATION_ABORT,
	ROUTE_VM_REGISTER,
	ROUTE_VM_RESERVE,
	ROUTE_VM_RESERVE_END,
	ROUTE_HOST_REPAIR,
	ROUTE_MAINTENANCE_GET,
	ROUTE_MAINTENANCE_BEGIN,
	ROUTE_MAINTENANCE_END,
	ROUTE_STORAGE_INIT,
	ROUTE_OPERATION_LIST,
	ROUTE_OPERATION_GET,
	ROUTE_GOSSIP_VMS,
	ROUTE_EVENTS,
	ROUTE_METRICS,
	ROUTE_PROBLEM_GET,
	ROUTE_OPENAPI,
	ROUTE_HEALTHZ,
	ROUTE_READYZ,
	ROUTE_N,
};

#define ROUTE_PARAMETERS_MAX 2

/* Which host has the answer. */
enum scope {
	SCOPE_HERE,	 /* any */
	SCOPE_VM,	 /* that of the VM in the path */
	SCOPE_HOST,	 /* that in the path */
	SCOPE_BODY,	 /* that in the body's "host"; none there: any */
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
	bool internal; /* for other hosts of the cluster alone */
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
